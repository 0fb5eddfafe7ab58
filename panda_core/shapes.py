"""Check the shape of an argument and name it in the error."""

from torch import Tensor


def check_shape(name: str, tensor: Tensor, **sizes: int | None) -> None:
    """Raise a ValueError unless the last dimensions of `tensor` have the given sizes, in that order.

    Args:
        name: what the argument is called, for the message.
        tensor: the argument.
        sizes: letter=size for each of the last dimensions; None takes any size. Leading dimensions are free.
    """
    shape = tuple(tensor.shape)
    wanted = list(sizes.values())
    tail = shape[len(shape) - len(wanted) :]
    if len(tail) < len(wanted) or any(w is not None and w != got for w, got in zip(wanted, tail)):
        text = ", ".join(letter if size is None else f"{letter}={size}" for letter, size in sizes.items())
        raise ValueError(f"{name} has shape {shape}; it must end in [{text}].")
