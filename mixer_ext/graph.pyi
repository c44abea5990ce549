from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

class JoinGraph:
    """The join graph alone."""

    def add(self, mixer: bool, csrc: int = 0) -> int: ...
    def join(self, a: int, b: int, a_to_b: bool = True, b_to_a: bool = True) -> None: ...
    def unjoin(self, a: int, b: int) -> None: ...
    def tick(
        self, frames: Mapping[int, npt.NDArray[np.int16]]
    ) -> dict[int, tuple[npt.NDArray[np.int32], set[int]]]: ...
