"""Arrays that show themselves in one way only."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class OnlyDLPack:
    """An array that offers nothing but DLPack."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def __dlpack__(self) -> Any:
        return self.array.__dlpack__()


class OnlyInterface:
    """An array that offers nothing but the array interface."""

    def __init__(self, array: Array) -> None:
        self.__array_interface__ = array.__array_interface__
        self.array = array


class Unexported(OnlyDLPack):
    """An array that will not be exported, as a tensor of PyTorch that requires a gradient."""

    def __dlpack__(self) -> Any:
        raise BufferError("call detach() first")


class OnDevice2(OnlyDLPack):
    """An array that says that it lies on device 2, the GPUs of CUDA."""

    def __dlpack__(self) -> Any:
        capsule = super().__dlpack__()
        pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
        pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]
        pointer_of.restype = ctypes.c_void_p
        # A DLTensor begins with the pointer to its data, and goes on with the kind of device.
        device = pointer_of(capsule, b"dltensor") + ctypes.sizeof(ctypes.c_void_p)
        ctypes.c_int32.from_address(device).value = 2
        return capsule
