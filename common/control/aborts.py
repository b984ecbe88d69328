"""How an error leaves a gRPC handler: its status, a text, and a trailer from which the other side makes it again."""

from __future__ import annotations

from typing import Any, Final

import grpc

from hedgerow.common import errors
from hedgerow.common.pb.v1 import admin_pb2 as pb

DETAIL_TRAILER: Final = "hedgerow-error-bin"
# gRPC refuses more than 16 KiB of metadata, and a trailer in base64 and a status text share that.
_MAX_DETAIL_BYTES: Final = 8 * 1024


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: errors.HedgerowError) -> None:
    """Ends the call with this error. Raises what gRPC raises for that."""
    detail = _detail(error)
    # The problems travel in the trailer; the text repeats them only for a caller who does not read it.
    text = str(error)[: _MAX_DETAIL_BYTES // 8]
    trailer = ((DETAIL_TRAILER, detail.SerializeToString()),)
    await context.abort(error.status, text, trailing_metadata=trailer)


def _detail(error: errors.HedgerowError) -> pb.ErrorDetail:
    """The error for the trailer, with as many of its problems as fit."""
    detail = pb.ErrorDetail(code=error.code)
    problems = error.problems if isinstance(error, errors.PreflightFailed) else ()
    for number, problem in enumerate(problems):
        one = pb.Problem(found=problem.found, fix=problem.fix)
        if detail.ByteSize() + one.ByteSize() > _MAX_DETAIL_BYTES:
            left = len(problems) - number
            detail.problems.add(found=f"{left} more problems", fix="fix these first, then try again")
            break
        detail.problems.append(one)
    return detail
