"""Why a file could not be fetched."""

from __future__ import annotations

from liftnet.core.errors import LiftnetError


class FetchError(LiftnetError):
    """A file that could not be fetched; becomes a row of the manifest and never stops a run.

    Args:
        what: The URL or path.
        status: Of its row, e.g. `http_404`, `timeout_total`, `ssrf_blocked`.
        reason: The status in plain words.
        http_status: Status of the last response, if there was one.
        passing: Whether another attempt may succeed.
        wait_s: Wait the server asked for (Retry-After).
        unreachable: Whether no connection could be made at all.
        opt_out: The header by which the owner of the file reserves it, if that is why.
    """

    def __init__(
        self,
        what: object,
        status: str,
        reason: str,
        http_status: int | None = None,
        passing: bool = False,
        wait_s: float | None = None,
        opt_out: str | None = None,
        unreachable: bool = False,
    ) -> None:
        super().__init__(what, reason)
        self.status, self.http_status, self.passing, self.wait_s = status, http_status, passing, wait_s
        self.opt_out, self.unreachable = opt_out, unreachable
        self.attempts = 0

    @property
    def is_gone(self) -> bool:
        """Whether the file is not there, which for a single record is no reason to give up a list."""
        return self.status in ("http_404", "http_410")
