"""Optimizers: from gradients to better parameters, as pure functions.

``init`` gives the state of a fresh optimizer, ``update`` new parameters and a new state; nothing is changed
in place::

    optimizer = cr.optim.adam(1e-3)
    state = optimizer.init(params)
    gradients = cr.grad(loss)(params, x, y)
    params, state = optimizer.update(gradients, state, params)

``params`` may be anything nested: a module, dictionaries, lists, tuples, one tensor. The state does not
depend on the hyperparameters, so the next update may come from an optimizer with another learning rate.

The learning rate is a number or a schedule, and clipping wraps an optimizer::

    rate = cr.optim.warm_up(cr.optim.cosine(1e-3, updates=9000), updates=1000)
    optimizer = cr.optim.clip_by_norm(cr.optim.adamw(rate, decays="*weight"), 1.0)

An update clips the gradients, adds weight decay, and follows the formula. In the formulas p is a parameter, g the
gradient of the loss for it, t counts the updates from 1; what an optimizer keeps starts at zero, and all operations
are elementwise.
"""

from __future__ import annotations

from chainrule import habits
from chainrule.optim.clipping import clip_by_norm, clip_by_value, global_norm
from chainrule.optim.descriptions import describe, from_description
from chainrule.optim.optimizer import Optimizer, State
from chainrule.optim.rules import adagrad, adam, adamw, gradient_descent, momentum, nesterov, rmsprop
from chainrule.optim.schedules import Schedule, constant, cosine, one_cycle, step_decay, warm_up

__all__ = [
    "Optimizer",
    "State",
    "gradient_descent",
    "momentum",
    "nesterov",
    "adagrad",
    "rmsprop",
    "adam",
    "adamw",
    "Schedule",
    "constant",
    "step_decay",
    "cosine",
    "warm_up",
    "one_cycle",
    "clip_by_norm",
    "clip_by_value",
    "global_norm",
    "describe",
    "from_description",
]


def __getattr__(name: str) -> object:
    raise habits.missing("cr.optim", name, habits.OPTIM)
