"""Writes types.safetensors with the safetensors library: one tensor of every type that Kiln reads.
python3 make_types.py (in this folder)."""
import torch
from safetensors.torch import save_file

TYPES = {
    "F32": torch.float32, "F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16, "I8": torch.int8,
    "I16": torch.int16, "I32": torch.int32, "I64": torch.int64, "U8": torch.uint8, "U16": torch.uint16,
    "U32": torch.uint32, "U64": torch.uint64,
}
tensors = {name: torch.tensor([[0, 1], [2, 100]]).to(dtype) for name, dtype in TYPES.items()}
tensors["BOOL"] = torch.tensor([False, True, True, False])
infinity = float("inf")
tensors["F16.special"] = torch.tensor([infinity, -infinity, float("nan"), 2.0**-24], dtype=torch.float16)
tensors["BF16.special"] = torch.tensor([infinity, -infinity, float("nan"), 3.3895313892515355e38], dtype=torch.bfloat16)
save_file(tensors, "types.safetensors")
