"""What people who know torch or Keras look for under another name, and what to write here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

TENSOR = {
    "data": "x.detach()",
    "dim": "x.ndim",
    "numel": "x.size",
    "view": "x.reshape(...)",
    "unsqueeze": "x.expand_dims(axis)",
    "permute": "x.permute_dims(axes)",
    "t": "x.mT",
    "float": "x.astype(cr.float32)",
    "double": "x.astype(cr.float64)",
    "long": "x.astype(cr.int64)",
    "int": "x.astype(cr.int32)",
    "bool": "x != 0",
    "to": "x.astype(dtype)",
    "type": "x.astype(dtype)",
    "cpu": "x.numpy()",
    "cuda": "x itself: everything runs on the CPU",
    "copy": "x itself: tensors never change",
    "clone": "x itself: tensors never change",
    "contiguous": "x itself",
    "zero_": "x.grad = None to start a gradient anew, cr.zeros_like(x) for zeros",
    "fill_": "cr.full_like(x, value)",
    "copy_": "a new tensor: tensors never change",
    "add_": "x + y",
    "sub_": "x - y",
    "mul_": "x * y",
    "div_": "x / y",
    "fill": "cr.full_like(x, value)",
    "grad_fn": "x.op and x.inputs",
    "pow": "x ** y",
    "mul": "x * y",
    "sub": "x - y",
    "div": "x / y",
    "mm": "x @ y",
    "norm": "cr.norm(x)",
    "dot": "cr.dot(x, y)",
}
NN = {
    "ReLU": "cr.relu, a function, as a layer",
    "Tanh": "cr.tanh, a function, as a layer",
    "Sigmoid": "cr.sigmoid, a function, as a layer",
    "GELU": "cr.gelu, a function, as a layer",
    "CrossEntropyLoss": "cr.nn.softmax_cross_entropy(logits, labels)",
    "cross_entropy": "cr.nn.softmax_cross_entropy(logits, labels)",
    "MSELoss": "cr.nn.mean_squared_error(prediction, target)",
    "mse_loss": "cr.nn.mean_squared_error(prediction, target)",
    "functional": "the functions of cr itself: cr.relu, cr.softmax, ...",
    "utils": "cr.optim.clip_by_norm(optimizer, limit) for clip_grad_norm_",
}
OPTIM = {
    "SGD": "cr.optim.gradient_descent(rate), cr.optim.momentum(rate), or cr.optim.nesterov(rate) for nesterov=True",
    "sgd": "cr.optim.gradient_descent(rate), cr.optim.momentum(rate), or cr.optim.nesterov(rate) for nesterov=True",
    "Adam": "cr.optim.adam(rate)",
    "AdamW": "cr.optim.adamw(rate)",
    "Adagrad": "cr.optim.adagrad(rate)",
    "RMSprop": "cr.optim.rmsprop(rate)",
    "clip_grad_norm_": "cr.optim.clip_by_norm(optimizer, limit), an optimizer that clips",
    "clip_grad_value_": "cr.optim.clip_by_value(optimizer, limit), an optimizer that clips",
    "clip_by_global_norm": "cr.optim.clip_by_norm(optimizer, limit), an optimizer that clips",
    "clip": "cr.optim.clip_by_value(optimizer, limit), an optimizer that clips",
    "chain": "cr.optim.clip_by_norm(optimizer, limit) for clipping, weight_decay= for weight decay",
    "apply_updates": "params, state = optimizer.update(gradients, state, params)",
    "lr_scheduler": "a schedule as the learning rate: cr.optim.adam(cr.optim.cosine(rate, updates))",
    "schedules": "a schedule as the learning rate: cr.optim.adam(cr.optim.cosine(rate, updates))",
    "StepLR": "cr.optim.step_decay(rate, every, factor) as the learning rate",
    "ExponentialLR": "cr.optim.step_decay(rate, 1, factor) as the learning rate",
    "ExponentialDecay": "cr.optim.step_decay(rate, every, factor) as the learning rate",
    "exponential_decay": "cr.optim.step_decay(rate, every, factor) as the learning rate",
    "CosineAnnealingLR": "cr.optim.cosine(rate, updates) as the learning rate",
    "CosineDecay": "cr.optim.cosine(rate, updates) as the learning rate",
    "cosine_decay_schedule": "cr.optim.cosine(rate, updates) as the learning rate",
    "LinearLR": "cr.optim.warm_up(rate, updates) as the learning rate",
    "linear_schedule": "cr.optim.warm_up(rate, updates) as the learning rate",
    "warmup_cosine_decay_schedule": "cr.optim.warm_up(cr.optim.cosine(rate, updates), updates) as the learning rate",
    "SequentialLR": "cr.optim.warm_up(schedule, updates) as the learning rate",
    "OneCycleLR": "cr.optim.one_cycle(peak, updates) as the learning rate",
    "LambdaLR": "a function of the number of updates as the learning rate",
    "ConstantLR": "cr.optim.constant(rate), or the number itself",
}
OPTIMIZER = {
    "step": "params, state = optimizer.update(gradients, state, params)",
    "minimize": "params, state = optimizer.update(gradients, state, params)",
    "apply_gradients": "params, state = optimizer.update(gradients, state, params)",
    "zero_grad": "nothing: the model that update returns has no gradients yet",
    "param_groups": "optimizer.settings, or optimizer.learning_rate_at(state['updates'])",
    "learning_rate": "optimizer.learning_rate_at(state['updates'])",
    "lr": "optimizer.learning_rate_at(state['updates'])",
    "state_dict": "cr.optim.describe(optimizer) for the settings; the state is yours, from init and update",
}


def missing(owner: str, name: str, table: Mapping[str, str], functions: Iterable[str] = ()) -> AttributeError:
    """The error for an attribute that is not there: what to write instead, where that is known.

    Args:
        owner: whose attribute, as the user reads it.
        name: the attribute.
        table: what to write instead, by name.
        functions: names of functions of ``cr`` that take the owner as their first argument.
    """
    instead = table.get(name) or (f"cr.{name}(x)" if name in functions else None)
    return AttributeError(f"{owner} has no .{name}" + (f": write {instead}" if instead else ""), name=name)
