from hedgerow.common.pb.v1 import model_pb2 as _model_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BarrierAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BARRIER_ACTION_UNSPECIFIED: _ClassVar[BarrierAction]
    WRITE: _ClassVar[BarrierAction]
    PASS: _ClassVar[BarrierAction]
BARRIER_ACTION_UNSPECIFIED: BarrierAction
WRITE: BarrierAction
PASS: BarrierAction

class BootstrapRequest(_message.Message):
    __slots__ = ("stamp", "spec")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    spec: _model_pb2.ChangefeedSpec
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., spec: _Optional[_Union[_model_pb2.ChangefeedSpec, _Mapping]] = ...) -> None: ...

class BootstrapResponse(_message.Message):
    __slots__ = ("stamp", "rejection", "error", "dispatchers", "removing", "version")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DISPATCHERS_FIELD_NUMBER: _ClassVar[int]
    REMOVING_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    rejection: _model_pb2.Rejection
    error: _model_pb2.ChangefeedError
    dispatchers: _containers.RepeatedCompositeFieldContainer[_model_pb2.DispatcherStatus]
    removing: _containers.RepeatedCompositeFieldContainer[DispatcherPlacement]
    version: int
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., rejection: _Optional[_Union[_model_pb2.Rejection, _Mapping]] = ..., error: _Optional[_Union[_model_pb2.ChangefeedError, _Mapping]] = ..., dispatchers: _Optional[_Iterable[_Union[_model_pb2.DispatcherStatus, _Mapping]]] = ..., removing: _Optional[_Iterable[_Union[DispatcherPlacement, _Mapping]]] = ..., version: _Optional[int] = ...) -> None: ...

class DispatcherPlacement(_message.Message):
    __slots__ = ("dispatcher", "generation", "lane")
    DISPATCHER_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    dispatcher: str
    generation: int
    lane: int
    def __init__(self, dispatcher: _Optional[str] = ..., generation: _Optional[int] = ..., lane: _Optional[int] = ...) -> None: ...

class ScheduleRequest(_message.Message):
    __slots__ = ("stamp", "create", "remove")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    CREATE_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    create: _containers.RepeatedCompositeFieldContainer[DispatcherPlacement]
    remove: _containers.RepeatedCompositeFieldContainer[DispatcherPlacement]
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., create: _Optional[_Iterable[_Union[DispatcherPlacement, _Mapping]]] = ..., remove: _Optional[_Iterable[_Union[DispatcherPlacement, _Mapping]]] = ...) -> None: ...

class ScheduleResponse(_message.Message):
    __slots__ = ("stamp", "rejection")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    rejection: _model_pb2.Rejection
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., rejection: _Optional[_Union[_model_pb2.Rejection, _Mapping]] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("stamp", "seen_version", "wait_ms", "changes")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    SEEN_VERSION_FIELD_NUMBER: _ClassVar[int]
    WAIT_MS_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    seen_version: int
    wait_ms: int
    changes: bool
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., seen_version: _Optional[int] = ..., wait_ms: _Optional[int] = ..., changes: bool = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ("stamp", "rejection", "version", "dispatchers", "lag_seconds", "rows", "lag", "changes", "gone")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DISPATCHERS_FIELD_NUMBER: _ClassVar[int]
    LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    rejection: _model_pb2.Rejection
    version: int
    dispatchers: _containers.RepeatedCompositeFieldContainer[_model_pb2.DispatcherStatus]
    lag_seconds: float
    rows: int
    lag: _model_pb2.Lag
    changes: bool
    gone: _containers.RepeatedCompositeFieldContainer[DispatcherPlacement]
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., rejection: _Optional[_Union[_model_pb2.Rejection, _Mapping]] = ..., version: _Optional[int] = ..., dispatchers: _Optional[_Iterable[_Union[_model_pb2.DispatcherStatus, _Mapping]]] = ..., lag_seconds: _Optional[float] = ..., rows: _Optional[int] = ..., lag: _Optional[_Union[_model_pb2.Lag, _Mapping]] = ..., changes: bool = ..., gone: _Optional[_Iterable[_Union[DispatcherPlacement, _Mapping]]] = ...) -> None: ...

class BarrierRequest(_message.Message):
    __slots__ = ("stamp", "ddl", "action", "dispatchers", "flushed")
    class FlushedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    STAMP_FIELD_NUMBER: _ClassVar[int]
    DDL_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    DISPATCHERS_FIELD_NUMBER: _ClassVar[int]
    FLUSHED_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    ddl: _model_pb2.Ddl
    action: BarrierAction
    dispatchers: _containers.RepeatedScalarFieldContainer[str]
    flushed: _containers.ScalarMap[str, int]
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., ddl: _Optional[_Union[_model_pb2.Ddl, _Mapping]] = ..., action: _Optional[_Union[BarrierAction, str]] = ..., dispatchers: _Optional[_Iterable[str]] = ..., flushed: _Optional[_Mapping[str, int]] = ...) -> None: ...

class BarrierResponse(_message.Message):
    __slots__ = ("stamp", "rejection")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    rejection: _model_pb2.Rejection
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., rejection: _Optional[_Union[_model_pb2.Rejection, _Mapping]] = ...) -> None: ...

class CloseRequest(_message.Message):
    __slots__ = ("stamp",)
    STAMP_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ...) -> None: ...

class CloseResponse(_message.Message):
    __slots__ = ("stamp", "rejection")
    STAMP_FIELD_NUMBER: _ClassVar[int]
    REJECTION_FIELD_NUMBER: _ClassVar[int]
    stamp: _model_pb2.Stamp
    rejection: _model_pb2.Rejection
    def __init__(self, stamp: _Optional[_Union[_model_pb2.Stamp, _Mapping]] = ..., rejection: _Optional[_Union[_model_pb2.Rejection, _Mapping]] = ...) -> None: ...
