#!/usr/bin/env python3
"""Writes python.safetensors with the official library: every element type that recur knows, odd shapes, metadata.

Made with safetensors 0.8, numpy and torch 2.x; the test in tests/unit/test_safetensors.c knows the values by rule:
element i of each tensor is i - 2 (unsigned: i; BOOL: i odd; F16, BF16, F32, F64: (i - 2) / 4)."""
import pathlib
import torch
from safetensors.torch import save_file

def ramp(n, dtype, shape):
    i = torch.arange(n, dtype=torch.float64)
    if dtype == torch.bool:
        return (i % 2 == 1).reshape(shape)
    if dtype == torch.uint8:
        return i.to(dtype).reshape(shape)
    if dtype.is_floating_point:
        return ((i - 2) / 4).to(dtype).reshape(shape)
    return (i - 2).to(dtype).reshape(shape)

tensors = {
    "f64": ramp(3, torch.float64, (3,)),
    "f32": ramp(6, torch.float32, (2, 3)),
    "f16": ramp(5, torch.float16, (5,)),
    "bf16": ramp(7, torch.bfloat16, (7, 1)),
    "i64": ramp(4, torch.int64, (2, 1, 2)),
    "i32": ramp(3, torch.int32, (3,)),
    "i16": ramp(3, torch.int16, (3,)),
    "i8": ramp(3, torch.int8, (3,)),
    "u8": ramp(3, torch.uint8, (3,)),
    "bool": ramp(3, torch.bool, (3,)),
    "scalar": torch.tensor(0.5),
    "empty": torch.zeros(0, 4),
    "größe 空": ramp(2, torch.float32, (2,)),
}
here = pathlib.Path(__file__).parent
save_file(tensors, here / "python.safetensors", metadata={"recur": '{"format": 1, "text": "ä \\n"}'})
