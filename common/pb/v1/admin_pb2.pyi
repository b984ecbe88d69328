import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from hedgerow.common.pb.v1 import maintainer_pb2 as _maintainer_pb2
from hedgerow.common.pb.v1 import model_pb2 as _model_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateChangefeedRequest(_message.Message):
    __slots__ = ("name", "source", "sink", "filter", "start", "options")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: str
    sink: str
    filter: _containers.RepeatedScalarFieldContainer[str]
    start: str
    options: _model_pb2.ChangefeedOptions
    def __init__(self, name: _Optional[str] = ..., source: _Optional[str] = ..., sink: _Optional[str] = ..., filter: _Optional[_Iterable[str]] = ..., start: _Optional[str] = ..., options: _Optional[_Union[_model_pb2.ChangefeedOptions, _Mapping]] = ...) -> None: ...

class ChangefeedRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class UpdateChangefeedRequest(_message.Message):
    __slots__ = ("name", "source", "sink", "filter", "options")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    source: str
    sink: str
    filter: FilterRules
    options: _model_pb2.ChangefeedOptions
    def __init__(self, name: _Optional[str] = ..., source: _Optional[str] = ..., sink: _Optional[str] = ..., filter: _Optional[_Union[FilterRules, _Mapping]] = ..., options: _Optional[_Union[_model_pb2.ChangefeedOptions, _Mapping]] = ...) -> None: ...

class SkipRequest(_message.Message):
    __slots__ = ("name", "transaction", "at", "tables", "by")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    name: str
    transaction: str
    at: str
    tables: _containers.RepeatedScalarFieldContainer[str]
    by: str
    def __init__(self, name: _Optional[str] = ..., transaction: _Optional[str] = ..., at: _Optional[str] = ..., tables: _Optional[_Iterable[str]] = ..., by: _Optional[str] = ...) -> None: ...

class FilterRules(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rules: _Optional[_Iterable[str]] = ...) -> None: ...

class RemoveResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("changefeeds",)
    CHANGEFEEDS_FIELD_NUMBER: _ClassVar[int]
    changefeeds: _containers.RepeatedCompositeFieldContainer[Changefeed]
    def __init__(self, changefeeds: _Optional[_Iterable[_Union[Changefeed, _Mapping]]] = ...) -> None: ...

class Changefeed(_message.Message):
    __slots__ = ("spec", "ownership", "status", "live", "lag", "lag_unknown_since")
    SPEC_FIELD_NUMBER: _ClassVar[int]
    OWNERSHIP_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    LAG_UNKNOWN_SINCE_FIELD_NUMBER: _ClassVar[int]
    spec: _model_pb2.ChangefeedSpec
    ownership: _model_pb2.Ownership
    status: _model_pb2.ChangefeedStatus
    live: _maintainer_pb2.MaintainerStatus
    lag: _model_pb2.Lag
    lag_unknown_since: _timestamp_pb2.Timestamp
    def __init__(self, spec: _Optional[_Union[_model_pb2.ChangefeedSpec, _Mapping]] = ..., ownership: _Optional[_Union[_model_pb2.Ownership, _Mapping]] = ..., status: _Optional[_Union[_model_pb2.ChangefeedStatus, _Mapping]] = ..., live: _Optional[_Union[_maintainer_pb2.MaintainerStatus, _Mapping]] = ..., lag: _Optional[_Union[_model_pb2.Lag, _Mapping]] = ..., lag_unknown_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListNodesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Node(_message.Message):
    __slots__ = ("info", "coordinator", "reachable", "maintains", "dispatchers")
    INFO_FIELD_NUMBER: _ClassVar[int]
    COORDINATOR_FIELD_NUMBER: _ClassVar[int]
    REACHABLE_FIELD_NUMBER: _ClassVar[int]
    MAINTAINS_FIELD_NUMBER: _ClassVar[int]
    DISPATCHERS_FIELD_NUMBER: _ClassVar[int]
    info: _model_pb2.NodeInfo
    coordinator: bool
    reachable: bool
    maintains: _containers.RepeatedScalarFieldContainer[str]
    dispatchers: int
    def __init__(self, info: _Optional[_Union[_model_pb2.NodeInfo, _Mapping]] = ..., coordinator: bool = ..., reachable: bool = ..., maintains: _Optional[_Iterable[str]] = ..., dispatchers: _Optional[int] = ...) -> None: ...

class ListNodesResponse(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Node]
    def __init__(self, nodes: _Optional[_Iterable[_Union[Node, _Mapping]]] = ...) -> None: ...

class DrainNodeRequest(_message.Message):
    __slots__ = ("node",)
    NODE_FIELD_NUMBER: _ClassVar[int]
    node: str
    def __init__(self, node: _Optional[str] = ...) -> None: ...

class MoveMaintainerRequest(_message.Message):
    __slots__ = ("name", "node")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    name: str
    node: str
    def __init__(self, name: _Optional[str] = ..., node: _Optional[str] = ...) -> None: ...

class MoveDispatcherRequest(_message.Message):
    __slots__ = ("name", "dispatcher", "node")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPATCHER_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    name: str
    dispatcher: str
    node: str
    def __init__(self, name: _Optional[str] = ..., dispatcher: _Optional[str] = ..., node: _Optional[str] = ...) -> None: ...

class ErrorDetail(_message.Message):
    __slots__ = ("code", "problems")
    CODE_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    code: str
    problems: _containers.RepeatedCompositeFieldContainer[Problem]
    def __init__(self, code: _Optional[str] = ..., problems: _Optional[_Iterable[_Union[Problem, _Mapping]]] = ...) -> None: ...

class Problem(_message.Message):
    __slots__ = ("found", "fix")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    found: str
    fix: str
    def __init__(self, found: _Optional[str] = ..., fix: _Optional[str] = ...) -> None: ...
