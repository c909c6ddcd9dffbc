"""Where torch's anomaly mode blames a later node or says nothing, `why` names the origin and its line."""

import linecache

import numpy as np
import pytest
import torch

import chainrule as cr


def blamed_by_torch(run):
    """The operation of the forward pass that anomaly mode shows, or None if it raises nothing."""
    with torch.autograd.detect_anomaly(check_nan=True):
        try:
            run()
        except RuntimeError as error:
            return str(error).partition("Function '")[2].partition("'")[0]
    return None


def line_of(reason):
    return linecache.getline(reason.source.file, reason.source.line).strip()


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_two_square_roots():
    def torchs():
        x = torch.tensor([0.0, 4.0], requires_grad=True)
        inner = torch.sqrt(x)
        outer = torch.sqrt(inner)
        (outer * torch.tensor([0.0, 1.0])).sum().backward()

    x = cr.tensor([0.0, 4.0], requires_grad=True, name="x")
    inner = cr.sqrt(x)
    outer = cr.sqrt(inner)
    reason = cr.why(cr.sum(outer), x)
    assert (
        blamed_by_torch(torchs) == "SqrtBackward0"
    )  # of the outer root: the first node that it meets on the way back
    assert (reason.cause, line_of(reason)) == ("sqrt_at_zero", "inner = cr.sqrt(x)")
    assert reason.proof.cured


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_an_infinite_gradient():
    def torchs():
        x = torch.tensor([0.0, 4.0], requires_grad=True)
        torch.sqrt(torch.sqrt(x)).sum().backward()
        assert torch.isinf(x.grad).any()

    assert blamed_by_torch(torchs) is None  # it looks for NaN alone


@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_a_loss_that_is_nan():
    def torchs():
        p = torch.tensor([-0.5, 0.5], requires_grad=True)
        loss = torch.log(p).mean()
        assert torch.isnan(loss)
        loss.backward()

    p = cr.tensor([-0.5, 0.5], requires_grad=True, name="p")
    logs = cr.log(p)
    reason = cr.why(cr.mean(logs), p)
    assert blamed_by_torch(torchs) is None  # the gradient of what is NaN is finite
    assert (reason.symptom, reason.cause, line_of(reason)) == ("nan", "log_of_negative", "logs = cr.log(p)")
    assert np.isfinite(float(reason.proof.after.split("f is ")[1].split(",")[0].replace("−", "-")))
