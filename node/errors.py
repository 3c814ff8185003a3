"""Every error that Sentinode raises on purpose; the class decides what happens next.

SentinodeError
|- TransientError            try again later, nothing is lost
|  |- ModelUnavailableError      Triton does not answer, or not in time
|  |- ModelMismatchError         the served model is not the one this worker was written for, yet
|  |- DestinationUnavailableError  the archive does not answer, or not in time
|  |- ObjectPostponedError      the archive does not take, or not yet list, this one object
|  `- LeaseLostError             another worker owns the job now; stop without a trace
|- PermanentError            trying again cannot help: fail and report
|  |- DecodingError              the pixels cannot be read
|  |- ModelRefusedError          Triton says that the request itself is wrong
|  |- EncodingError              a result object cannot be written
|  |- DestinationRefusedError    the archive says that the object itself is wrong
|  |- IllegalMoveError           a state change that `job.LEGAL_MOVES` does not know
|  |- NotFoundError              no such study, job or file
|  `- ConfigurationError         a setting, route or destination is wrong
|- RefusedError              the sender is answered with a DIMSE status (PS3.4 B.2.3)
|  |- OutOfResourcesError        0xA700
|  |- DataSetMismatchError       0xA900
|  |- CannotUnderstandError      0xC000
|  |- SopClassNotSupportedError  0x0122
|  `- TransferSyntaxNotSupportedError  0xC122
`- BrokenRequestError        an HTTP request that cannot be read to its end
   |- MalformedRequestError      400
   |- SlowRequestError           408
   `- LargeRequestError          413
"""

from __future__ import annotations

from typing import ClassVar


class SentinodeError(Exception):
    """Base of all."""


class TransientError(SentinodeError):
    """Try again later."""


class ModelUnavailableError(TransientError):
    """Triton does not answer, or not in time."""


class ModelMismatchError(TransientError):
    """The served model differs from the spec this worker carries, as during an upgrade."""


class DestinationUnavailableError(TransientError):
    """The archive does not answer, or not in time."""


class ObjectPostponedError(TransientError):
    """The archive works, but does not take this object now, or does not list it yet."""


class LeaseLostError(TransientError):
    """Another worker owns the job now."""


class PermanentError(SentinodeError):
    """Trying again cannot help."""


class DecodingError(PermanentError):
    """The pixels of an instance cannot be read."""


class ModelRefusedError(PermanentError):
    """Triton refused the request itself."""


class EncodingError(PermanentError):
    """A result object cannot be written."""


class DestinationRefusedError(PermanentError):
    """The archive refused the object itself."""


class IllegalMoveError(PermanentError):
    """A state change that the state machine does not know."""


class NotFoundError(PermanentError):
    """No such study, job or file."""


class ConfigurationError(PermanentError):
    """A setting, route or destination is wrong; the text says which and what to write instead."""


class RefusedError(SentinodeError):
    """A C-STORE is answered with `status` (PS3.4 Table B.2-1)."""

    status: ClassVar[int] = 0xC000


class OutOfResourcesError(RefusedError):
    """Refused: Out of Resources; the sender should try again later."""

    status = 0xA700


class DataSetMismatchError(RefusedError):
    """Error: Data Set does not match SOP Class."""

    status = 0xA900


class CannotUnderstandError(RefusedError):
    """Error: Cannot Understand."""

    status = 0xC000


class SopClassNotSupportedError(RefusedError):
    """Refused: SOP Class not supported (PS3.7 9.1.1.1.9, PS3.18 table I.2-2)."""

    status = 0x0122


class TransferSyntaxNotSupportedError(RefusedError):
    """Referenced Transfer Syntax not supported (PS3.18 table I.2-2)."""

    status = 0xC122


class BrokenRequestError(SentinodeError):
    """An HTTP request cannot be read to its end; it is answered with `http_status`."""

    http_status: ClassVar[int] = 400


class MalformedRequestError(BrokenRequestError):
    """The body is not what its Content-Type says."""


class SlowRequestError(BrokenRequestError):
    """The sender is silent for too long, or takes too long altogether."""

    http_status = 408


class LargeRequestError(BrokenRequestError):
    """The body is larger than this node takes."""

    http_status = 413
