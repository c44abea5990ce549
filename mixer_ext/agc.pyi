import numpy as np
import numpy.typing as npt

class GainControl:
    """The gain control of one speaker."""

    enabled: bool
    gain: float
    def hear(self, samples: npt.NDArray[np.int16], speech: bool) -> npt.NDArray[np.int16]: ...
    def rest(self) -> None: ...
