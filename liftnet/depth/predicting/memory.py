"""Telling that memory ran out, on a processor or a graphics card, from other errors."""

from __future__ import annotations

import cv2
import torch

CV2_NO_MEMORY = -4  # cv::Error::StsNoMem


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: of Python, NumPy, OpenCV, or of torch on any device."""
    from accelerate.utils.memory import should_reduce_batch_size

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, cv2.error):
        return error.code == CV2_NO_MEMORY
    return isinstance(error, Exception) and should_reduce_batch_size(error)
