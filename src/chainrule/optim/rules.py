"""The formulas of optimizers, each for one parameter.

Every maker takes ``learning_rate``, a number or a schedule; ``weight_decay``, which adds that much of each
parameter to its gradient (L2), 0 for none; and ``decays``, which parameters that holds for: patterns for their
paths or a function, as in :data:`Decays`, by default all.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from chainrule.optim import schedules
from chainrule.optim.hyperparameters import beside
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.schedules import Schedule
from chainrule.optim.weight_decay import Decays, as_weight_decay, described
from chainrule.shapes import as_above_zero, as_share, float64

Rate: TypeAlias = "float | Schedule | Callable[[Any], Any]"
"""A number above 0, or a schedule, or a function of the number of updates made so far.

A function gets that number as a float, and in a compiled step as a traced tensor of float64: arithmetic and functions
of NumPy take both, and ``cr.where`` chooses where ``if`` cannot.
"""


def gradient_descent(learning_rate: Rate, *, weight_decay: float = 0.0, decays: Decays = "*") -> Optimizer:
    """``p - learning_rate g``.

    Args:
        learning_rate: above 0, in units of p squared per unit of the loss; or a schedule.
        weight_decay: at least 0; as much of p is added to g.
        decays: the parameters that decay.

    Raises:
        ArgumentError: a hyperparameter is out of its range.

    Source: Robbins and Monro, Annals of Mathematical Statistics 22(3), 1951, 400-407,
    DOI 10.1214/aoms/1177729586.
    """

    def formula(t: Any, rate: Any, p: Any, g: Any) -> tuple[Any, ...]:
        return (p - beside(p, rate) * g,)

    return _made("gradient_descent", learning_rate, {}, (), formula, weight_decay, decays)


def momentum(
    learning_rate: Rate, *, decay: float = 0.9, weight_decay: float = 0.0, decays: Decays = "*"
) -> Optimizer:
    """``v = decay v + g``, then ``p - learning_rate v``.

    Args:
        learning_rate: above 0; or a schedule.
        decay: share of the velocity that stays, in [0, 1).
        weight_decay: at least 0; as much of p is added to g.
        decays: the parameters that decay.

    Raises:
        ArgumentError: a hyperparameter is out of its range.

    Source: Polyak, USSR Computational Mathematics and Mathematical Physics 4(5), 1964, 1-17,
    DOI 10.1016/0041-5553(64)90137-5.
    """
    mu = as_share("momentum", "decay", decay)

    def formula(t: Any, rate: Any, p: Any, g: Any, velocity: Any) -> tuple[Any, ...]:
        velocity = mu * velocity + g
        return p - beside(p, rate) * velocity, velocity

    return _made("momentum", learning_rate, {"decay": mu}, ("velocity",), formula, weight_decay, decays)


def nesterov(
    learning_rate: Rate, decay: float = 0.9, *, weight_decay: float = 0.0, decays: Decays = "*"
) -> Optimizer:
    """``v = decay v + g``, then ``p - learning_rate (g + decay v)``: momentum that looks a step ahead.

    p is where Nesterov's method takes the gradient, ahead of its own parameter by ``learning_rate decay v``.

    Args:
        learning_rate: above 0; or a schedule.
        decay: share of the velocity that stays, in [0, 1).
        weight_decay: at least 0; as much of p is added to g.
        decays: the parameters that decay.

    Raises:
        ArgumentError: a hyperparameter is out of its range.

    Source: Nesterov, Soviet Mathematics Doklady 27(2), 1983, 372-376; as momentum, Sutskever, Martens, Dahl and
    Hinton, ICML 2013, PMLR 28(3), 1139-1147.
    """
    mu = as_share("nesterov", "decay", decay)

    def formula(t: Any, rate: Any, p: Any, g: Any, velocity: Any) -> tuple[Any, ...]:
        velocity = mu * velocity + g
        return p - beside(p, rate) * (g + mu * velocity), velocity

    return _made("nesterov", learning_rate, {"decay": mu}, ("velocity",), formula, weight_decay, decays)


def adagrad(
    learning_rate: Rate = 1e-2, *, epsilon: float = 1e-10, weight_decay: float = 0.0, decays: Decays = "*"
) -> Optimizer:
    """``s = s + g²``, then ``p - learning_rate g / (sqrt(s) + epsilon)``.

    Args:
        learning_rate: above 0, in units of p; or a schedule.
        epsilon: above 0, in units of g; keeps the quotient finite where g has always been 0.
        weight_decay: at least 0; as much of p is added to g.
        decays: the parameters that decay.

    Raises:
        ArgumentError: a hyperparameter is out of its range.

    Source: Duchi, Hazan and Singer, Journal of Machine Learning Research 12, 2011, 2121-2159.
    """
    eps = as_above_zero("adagrad", "epsilon", epsilon, "1e-10")

    def formula(t: Any, rate: Any, p: Any, g: Any, square: Any) -> tuple[Any, ...]:
        square = square + g * g
        return p - beside(p, rate) * g / (np.sqrt(square) + eps), square

    return _made("adagrad", learning_rate, {"epsilon": eps}, ("square",), formula, weight_decay, decays)


def rmsprop(
    learning_rate: Rate = 1e-3,
    *,
    decay: float = 0.9,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decays: Decays = "*",
) -> Optimizer:
    """``s = decay s + (1 - decay) g²``, then ``p - learning_rate g / (sqrt(s) + epsilon)``.

    Args:
        learning_rate: above 0, in units of p; or a schedule.
        decay: share of the mean square that stays, in [0, 1).
        epsilon: above 0, in units of g.
        weight_decay: at least 0; as much of p is added to g.
        decays: the parameters that decay.

    Raises:
        ArgumentError: a hyperparameter is out of its range.

    Source: Tieleman and Hinton, lecture 6.5 of Neural Networks for Machine Learning, Coursera, 2012.
    """
    rho = as_share("rmsprop", "decay", decay)
    eps = as_above_zero("rmsprop", "epsilon", epsilon, "1e-08")

    def formula(t: Any, rate: Any, p: Any, g: Any, square: Any) -> tuple[Any, ...]:
        square = rho * square + (1 - rho) * (g * g)
        return p - beside(p, rate) * g / (np.sqrt(square) + eps), square

    settings = {"decay": rho, "epsilon": eps}
    return _made("rmsprop", learning_rate, settings, ("square",), formula, weight_decay, decays)


def adam(
    learning_rate: Rate = 1e-3,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.0,
    decays: Decays = "*",
) -> Optimizer:
    """Moments ``m = beta1 m + (1 - beta1) g`` and ``s = beta2 s + (1 - beta2) g²``, which start at 0 and are
    corrected for it: ``p - learning_rate m' / (sqrt(s') + epsilon)`` with ``m' = m / (1 - beta1^t)`` and
    ``s' = s / (1 - beta2^t)``.

    Args:
        learning_rate: above 0, in units of p; no step is much larger. Or a schedule.
        beta1, beta2: shares of the moments that stay, in [0, 1).
        epsilon: above 0, in units of g.
        weight_decay: at least 0; as much of p is added to g. Moments then hold it too, and large ones hide it:
            :func:`adamw` decays whatever they are.
        decays: the parameters that decay.

    Raises:
        ArgumentError: a hyperparameter is out of its range.

    Source: Kingma and Ba, ICLR 2015, DOI 10.48550/arXiv.1412.6980.
    """
    settings, formula = _adam("adam", beta1, beta2, epsilon)
    return _made("adam", learning_rate, settings, ("mean", "square"), formula, weight_decay, decays)


def adamw(
    learning_rate: Rate = 1e-3,
    *,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 1e-2,
    decays: Decays = "*",
) -> Optimizer:
    """:func:`adam` with decoupled weight decay: ``p`` becomes ``p - learning_rate weight_decay p`` first.

    Args:
        learning_rate: above 0, in units of p; or a schedule, which the decay follows too.
        beta1, beta2: shares of the moments that stay, in [0, 1).
        epsilon: above 0, in units of g.
        weight_decay: at least 0, per unit of learning rate, as in torch and optax; the paper's λ is
            ``learning_rate weight_decay``.
        decays: the parameters that decay.

    Raises:
        ArgumentError: a hyperparameter is out of its range.

    Example:
        >>> optimizer = adamw(cr.optim.cosine(1e-3, updates=1000), weight_decay=0.1, decays="*weight")
        >>> layer = cr.nn.Linear(2, 1, key=cr.random.key(0))
        >>> layer, state = optimizer.update(layer, optimizer.init(layer), layer)
        >>> round(optimizer.learning_rate_at(500), 6)
        0.0005

    Source: Loshchilov and Hutter, ICLR 2019, algorithm 2, DOI 10.48550/arXiv.1711.05101.
    """
    settings, formula = _adam("adamw", beta1, beta2, epsilon)
    return _made(
        "adamw", learning_rate, settings, ("mean", "square"), formula, weight_decay, decays, decoupled=True
    )


def _adam(
    name: str, beta1: float, beta2: float, epsilon: float
) -> tuple[dict[str, Any], Callable[..., tuple[Any, ...]]]:
    b1, b2 = as_share(name, "beta1", beta1), as_share(name, "beta2", beta2, "0.999")
    eps = as_above_zero(name, "epsilon", epsilon, "1e-08")

    def formula(t: Any, rate: Any, p: Any, g: Any, mean: Any, square: Any) -> tuple[Any, ...]:
        mean = b1 * mean + (1 - b1) * g
        square = b2 * square + (1 - b2) * (g * g)
        # The order of section 2 of the paper: no division by 1 - beta2^t for each parameter.
        share = _unbiased(b2, t)
        root = math.sqrt(share) if isinstance(share, float) else np.sqrt(share)
        steps = beside(p, rate * root / _unbiased(b1, t)) * mean
        return p - steps / (np.sqrt(square) + beside(p, eps * root)), mean, square

    return {"beta1": b1, "beta2": b2, "epsilon": eps}, formula


def _unbiased(beta: float, t: Any) -> Any:
    """``1 - beta^t``, in float64: near 1 float32 has few digits left."""
    return 1 - beta**t if isinstance(t, int) else 1 - beta ** t.astype(float64)


def _made(
    name: str,
    learning_rate: Any,
    settings: dict[str, Any],
    kept: tuple[str, ...],
    formula: Callable[..., tuple[Any, ...]],
    amount: Any,
    decays: Any,
    decoupled: bool = False,
) -> Optimizer:
    """The optimizer of a formula, and what all of them have: a learning rate and weight decay."""
    schedule = schedules.as_schedule(name, "learning_rate", learning_rate)
    decay = as_weight_decay(name, amount, decays, decoupled)
    everything = {
        "learning_rate": schedules.described(learning_rate, schedule),
        **settings,
        "weight_decay": decay.amount,
        "decays": described(decay),
    }
    return Optimizer(name, everything, kept, formula, schedule, decay)
