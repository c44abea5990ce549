import numpy as np
import numpy.typing as npt

class Limiter:
    """One limiter."""

    gain: float
    def limit(self, total: npt.NDArray[np.int32]) -> npt.NDArray[np.int16]: ...
    def rest(self, frames: int) -> None: ...

class Loudness:
    """One volume."""

    def apply(self, samples: npt.NDArray[np.int16], wanted: float) -> npt.NDArray[np.int16]: ...
