from hedgerow.common.pb.v1 import model_pb2 as _model_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MaintainerPhase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MAINTAINER_PHASE_UNSPECIFIED: _ClassVar[MaintainerPhase]
    BOOTSTRAPPING: _ClassVar[MaintainerPhase]
    MAINTAINING: _ClassVar[MaintainerPhase]
    CLOSING: _ClassVar[MaintainerPhase]
    CLOSED: _ClassVar[MaintainerPhase]
    ERRED: _ClassVar[MaintainerPhase]
    SUPERSEDED: _ClassVar[MaintainerPhase]
MAINTAINER_PHASE_UNSPECIFIED: MaintainerPhase
BOOTSTRAPPING: MaintainerPhase
MAINTAINING: MaintainerPhase
CLOSING: MaintainerPhase
CLOSED: MaintainerPhase
ERRED: MaintainerPhase
SUPERSEDED: MaintainerPhase

class AddMaintainerRequest(_message.Message):
    __slots__ = ("stamp", "spec", "begun")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    BEGUN_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    spec: _model_pb2.ChangefeedSpec
    begun: bool
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., spec: _Optional[_Union[_model_pb2.ChangefeedSpec, _Mapping]] = ..., begun: bool = ...) -> None: ...

class AddMaintainerResponse(_message.Message):
    __slots__ = ("stamp", "rejection")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    rejection: _model_pb2.Rejection
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., rejection: _Optional[_Union[_model_pb2.Rejection, _Mapping]] = ...) -> None: ...

class RemoveMaintainerRequest(_message.Message):
    __slots__ = ("stamp", "spec", "forget")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    spec: _model_pb2.ChangefeedSpec
    forget: bool
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., spec: _Optional[_Union[_model_pb2.ChangefeedSpec, _Mapping]] = ..., forget: bool = ...) -> None: ...

class RemoveMaintainerResponse(_message.Message):
    __slots__ = ("stamp", "rejection")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    rejection: _model_pb2.Rejection
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., rejection: _Optional[_Union[_model_pb2.Rejection, _Mapping]] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ("term", "seen_version", "wait_ms")
    TERM_FIELD_NUMBER: _ClassVar[int]
    SEEN_VERSION_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    term: int
    seen_version: int
    wait_ms: int
    def __init__(self, term: _Optional[int] = ..., seen_version: _Optional[int] = ..., wait_ms: _Optional[int] = ...) -> None: ...

class MaintainerStatus(_message.Message):
    __slots__ = ("stamp", "phase", "checkpoint", "dispatchers", "error", "lag_seconds", "rows", "transactions", "seen_epoch", "lag")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    DISPATCHERS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    SEEN_EPOCH_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    phase: MaintainerPhase
    checkpoint: _model_pb2.Position
    dispatchers: _containers.RepeatedCompositeFieldContainer[_model_pb2.DispatcherStatus]
    error: _model_pb2.ChangefeedError
    lag_seconds: float
    rows: int
    transactions: int
    seen_epoch: int
    lag: _model_pb2.Lag
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., phase: _Optional[_Union[MaintainerPhase, str]] = ..., checkpoint: _Optional[_Union[_model_pb2.Position, _Mapping]] = ..., dispatchers: _Optional[_Iterable[_Union[_model_pb2.DispatcherStatus, _Mapping]]] = ..., error: _Optional[_Union[_model_pb2.ChangefeedError, _Mapping]] = ..., lag_seconds: _Optional[float] = ..., rows: _Optional[int] = ..., transactions: _Optional[int] = ..., seen_epoch: _Optional[int] = ..., lag: _Optional[_Union[_model_pb2.Lag, _Mapping]] = ...) -> None: ...

class StatusResponse(_message.Message):
    __slots__ = ("version", "node", "maintainers", "dispatchers", "rejection")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    MAINTAINERS_FIELD_NUMBER: _ClassVar[int]
    DISPATCHERS_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    version: int
    node: str
    maintainers: _containers.RepeatedCompositeFieldContainer[MaintainerStatus]
    dispatchers: int
    rejection: _model_pb2.Rejection
    def __init__(self, version: _Optional[int] = ..., node: _Optional[str] = ..., maintainers: _Optional[_Iterable[_Union[MaintainerStatus, _Mapping]]] = ..., dispatchers: _Optional[int] = ..., rejection: _Optional[_Union[_model_pb2.Rejection, _Mapping]] = ...) -> None: ...

class PlaceDispatcherRequest(_message.Message):
    __slots__ = ("stamp", "dispatcher", "node")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    DISPATCHER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    dispatcher: str
    node: str
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., dispatcher: _Optional[str] = ..., node: _Optional[str] = ...) -> None: ...

class PlaceDispatcherResponse(_message.Message):
    __slots__ = ("stamp", "rejection")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    rejection: _model_pb2.Rejection
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., rejection: _Optional[_Union[_model_pb2.Rejection, _Mapping]] = ...) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ("term",)
    TERM_FIELD_NUMBER: _ClassVar[int]
    term: int
    def __init__(self, term: _Optional[int] = ...) -> None: ...

class DrainResponse(_message.Message):
    __slots__ = ("rejection",)
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    rejection: _model_pb2.Rejection
    def __init__(self, rejection: _Optional[_Union[_model_pb2.Rejection, _Mapping]] = ...) -> None: ...
