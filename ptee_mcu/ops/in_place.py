"""How far an output must start before the input it is written over, from the order in which a kernel goes through both.

All kernels here that work pixel by pixel go forward through output and input: what is written last and what is still
to be read are two front lines in memory. An output that starts `distance` bytes before its input never overtakes it.
"""

import numpy as np
import numpy.typing as npt

from ptee_mcu.tensor import HW, Padding, Shape

Bytes = npt.NDArray[np.int64]


def distance(written: Bytes, read: Bytes) -> int:
    """Bytes by which the output must start before the input: no byte is written while a window still reads it.

    Holds for every kernel that writes nothing of pixel p before it has read the windows of the pixels before p,
    whatever it does inside the window of p: a pixel counts as written before its own window is read.

    Args:
        written: per output pixel, in order, where what is written of the output ends once it is done.
        read: per output pixel, the first byte of the input that it reads.
    """
    still_read = np.minimum.accumulate(read[::-1])[::-1]
    return max(0, int((written - still_read).max()))


def window_distance(x: Shape, y: Shape, stride: HW, padding: Padding) -> int:
    """`distance` of a sliding window from `x` to `y`, both (1, H, W, C), any kernel and dilation.

    A window's first byte lies at its top left corner, or further on where that corner is padding.
    """
    rows = np.maximum(np.arange(y[1], dtype=np.int64) * stride.h - padding.top, 0)
    columns = np.maximum(np.arange(y[2], dtype=np.int64) * stride.w - padding.left, 0)
    read = (rows[:, None] * x[2] + columns) * x[3]
    written = (np.arange(y[1] * y[2], dtype=np.int64) + 1) * y[3]
    return distance(written, read.ravel())
