"""Looks at the noise of a timm model while it runs: which random masks it draws, at which rates, and where.

A model may have an option that does nothing, or a layer that is never called, so nothing but a forward pass tells what
acts. It runs on torch's meta device, which computes shapes and nothing else: a model of billions costs a second.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

DROP_PATH, DROPOUT = 0.2, 0.345
"""The rates that a model is built with. No model has the second one as a constant of its own."""

_BATCH = 2
_CLOSE = 1e-3
_VIEWS = frozenset(
    ("_unsafe_view", "alias", "as_strided", "detach", "expand", "flatten", "permute", "reshape", "select", "slice",
     "squeeze", "t", "transpose", "unsqueeze", "view")
)  # fmt: skip


@dataclass(frozen=True)
class ObservedNoise:
    """What acts in a forward pass in training mode."""

    drop_path_rates: tuple[float, ...]
    """Of each residual branch that is dropped for a whole image, in the order of the pass."""
    dropout: bool
    dropout_on_classifier: bool
    """Whether dropout acts on the classifier's input, and nowhere else."""

    @property
    def drop_path_falls(self) -> bool:
        """Whether the rate rises from the first to the last layer, as the paper's does: it falls towards the first."""
        rates = self.drop_path_rates
        return bool(rates) and list(rates) == sorted(rates) and rates[0] < rates[-1]


def observed_noise(model: Any) -> ObservedNoise:
    """Runs a model, which was built on the meta device with these rates and for its own image size, once in training
    mode."""
    torch = importlib.import_module("torch")
    masks = _Masks()
    model.train()
    for classifier in _classifiers(model.get_classifier()):
        classifier.register_forward_pre_hook(lambda _, inputs: masks.reach_classifier(inputs[0]))
    size = model.pretrained_cfg["input_size"]
    with _recorder(masks), torch.no_grad():
        model(torch.zeros(_BATCH, *size, device="meta"))
    return ObservedNoise(
        drop_path_rates=tuple(masks.drop_path_rates),
        dropout=masks.dropouts > 0,
        dropout_on_classifier=0 < masks.dropouts == len(masks.on_classifier),
    )


class _Masks:
    """The random masks of a forward pass, and what they were applied to."""

    def __init__(self) -> None:
        self.drop_path_rates: list[float] = []
        self.dropouts = 0
        self.on_classifier: set[int] = set()
        """The dropouts whose result is the input of a classifier, by number."""
        self._dropped: dict[int, int] = {}
        """Of each tensor that is a dropout's mask, its result or a view of that, the dropout's number."""
        self._alive: list[Any] = []  # so that no other tensor gets the identity of one of them

    def drawn(self, mask: Any, rate: float) -> None:
        """Notes that a mask was drawn. One value for each image is stochastic depth."""
        if rate > 0 and mask.shape[0] == _BATCH and all(side == 1 for side in mask.shape[1:]):
            self.drop_path_rates.append(round(rate, 4))
        elif abs(rate - DROPOUT) < _CLOSE:
            self._keep(mask, self.dropouts)
            self.dropouts += 1

    def passed_on(self, name: str, arguments: tuple[Any, ...], result: Any) -> None:
        """Notes that an operation has made `result`: a view, or a picture times its mask."""
        sources = arguments if name == "mul" else arguments[:1] if name in _VIEWS or name == "div_" else ()
        for source in sources:
            if id(source) in self._dropped:
                self._keep(result, self._dropped[id(source)])

    def reach_classifier(self, tensor: Any) -> None:
        if id(tensor) in self._dropped:
            self.on_classifier.add(self._dropped[id(tensor)])

    def _keep(self, tensor: Any, number: int) -> None:
        self._dropped[id(tensor)] = number
        self._alive.append(tensor)


def _classifiers(found: Any) -> Iterator[Any]:
    """The classifiers of a model, which may have one, several or a container of them."""
    torch = importlib.import_module("torch")
    if isinstance(found, list | tuple | torch.nn.ModuleList):
        for each in found:
            yield from _classifiers(each)
    elif isinstance(found, torch.nn.Module):
        yield found


def _recorder(masks: _Masks) -> Any:
    """A context in which torch's operations are noted in `masks`."""
    modes = importlib.import_module("torch.utils._python_dispatch")

    class Recorder(modes.TorchDispatchMode):  # type: ignore[name-defined, misc]
        def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
            result = operation(*arguments, **(named or {}))
            name = operation.overloadpacket.__name__
            if name == "bernoulli_":
                masks.drawn(result, 1 - arguments[1])
            else:
                masks.passed_on(name, arguments, result)
            return result

    return Recorder()
