import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    ACCEPT: _ClassVar[Verdict]
    STALE: _ClassVar[Verdict]
    FOREIGN: _ClassVar[Verdict]
    TAKEOVER: _ClassVar[Verdict]
    AHEAD: _ClassVar[Verdict]

class ChangefeedState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANGEFEED_STATE_UNSPECIFIED: _ClassVar[ChangefeedState]
    NORMAL: _ClassVar[ChangefeedState]
    WARNING: _ClassVar[ChangefeedState]
    FAILED: _ClassVar[ChangefeedState]
    STOPPED: _ClassVar[ChangefeedState]
    REMOVED: _ClassVar[ChangefeedState]

class Consistency(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSISTENCY_UNSPECIFIED: _ClassVar[Consistency]
    TABLE: _ClassVar[Consistency]
    TRANSACTION: _ClassVar[Consistency]

class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ROLE_UNSPECIFIED: _ClassVar[Role]
    RUN: _ClassVar[Role]
    CLOSE: _ClassVar[Role]
    REMOVE: _ClassVar[Role]

class Liveness(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIVENESS_UNSPECIFIED: _ClassVar[Liveness]
    ALIVE: _ClassVar[Liveness]
    DRAINING: _ClassVar[Liveness]
    STOPPING: _ClassVar[Liveness]

class DdlScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DDL_SCOPE_UNSPECIFIED: _ClassVar[DdlScope]
    TABLES: _ClassVar[DdlScope]
    SCHEMA: _ClassVar[DdlScope]
    EVERYTHING: _ClassVar[DdlScope]

class DispatcherState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DISPATCHER_STATE_UNSPECIFIED: _ClassVar[DispatcherState]
    STARTING: _ClassVar[DispatcherState]
    RUNNING: _ClassVar[DispatcherState]
    BLOCKED: _ClassVar[DispatcherState]
    RETRYING: _ClassVar[DispatcherState]
    BROKEN: _ClassVar[DispatcherState]
    ENDED: _ClassVar[DispatcherState]
VERDICT_UNSPECIFIED: Verdict
ACCEPT: Verdict
STALE: Verdict
FOREIGN: Verdict
TAKEOVER: Verdict
AHEAD: Verdict
CHANGEFEED_STATE_UNSPECIFIED: ChangefeedState
NORMAL: ChangefeedState
WARNING: ChangefeedState
FAILED: ChangefeedState
STOPPED: ChangefeedState
REMOVED: ChangefeedState
CONSISTENCY_UNSPECIFIED: Consistency
TABLE: Consistency
TRANSACTION: Consistency
ROLE_UNSPECIFIED: Role
RUN: Role
CLOSE: Role
REMOVE: Role
LIVENESS_UNSPECIFIED: Liveness
ALIVE: Liveness
DRAINING: Liveness
STOPPING: Liveness
DDL_SCOPE_UNSPECIFIED: DdlScope
TABLES: DdlScope
SCHEMA: DdlScope
EVERYTHING: DdlScope
DISPATCHER_STATE_UNSPECIFIED: DispatcherState
STARTING: DispatcherState
RUNNING: DispatcherState
BLOCKED: DispatcherState
RETRYING: DispatcherState
BROKEN: DispatcherState
ENDED: DispatcherState

class Stamp(_message.Message):
    __slots__ = ("uid", "epoch", "node", "term")
    UID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    uid: str
    epoch: int
    node: str
    term: int
    def __init__(self, uid: _Optional[str] = ..., epoch: _Optional[int] = ..., node: _Optional[str] = ..., term: _Optional[int] = ...) -> None: ...

class Owner(_message.Message):
    __slots__ = ("epoch", "node")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    node: str
    def __init__(self, epoch: _Optional[int] = ..., node: _Optional[str] = ...) -> None: ...

class Rejection(_message.Message):
    __slots__ = ("verdict", "current", "closed", "term")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    verdict: Verdict
    current: Owner
    closed: int
    term: int
    def __init__(self, verdict: _Optional[_Union[Verdict, str]] = ..., current: _Optional[_Union[Owner, _Mapping]] = ..., closed: _Optional[int] = ..., term: _Optional[int] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("gtid_set", "file", "offset", "source_id", "commit_time", "mark")
    GTID_SET_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    COMMIT_TIME_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    gtid_set: str
    file: str
    offset: int
    source_id: str
    commit_time: _timestamp_pb2.Timestamp
    mark: str
    def __init__(self, gtid_set: _Optional[str] = ..., file: _Optional[str] = ..., offset: _Optional[int] = ..., source_id: _Optional[str] = ..., commit_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., mark: _Optional[str] = ...) -> None: ...

class Lag(_message.Message):
    __slots__ = ("seconds", "known", "bytes")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    seconds: float
    known: bool
    bytes: int
    def __init__(self, seconds: _Optional[float] = ..., known: bool = ..., bytes: _Optional[int] = ...) -> None: ...

class ChangefeedError(_message.Message):
    __slots__ = ("code", "message", "retriable", "node", "dispatcher", "at", "position")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRIABLE_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    DISPATCHER_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    retriable: bool
    node: str
    dispatcher: str
    at: _timestamp_pb2.Timestamp
    position: Position
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., retriable: bool = ..., node: _Optional[str] = ..., dispatcher: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class ChangefeedOptions(_message.Message):
    __slots__ = ("consistency", "lanes", "batch_transactions", "batch_bytes")
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    LANES_FIELD_NUMBER: _ClassVar[int]
    BATCH_TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    BATCH_BYTES_FIELD_NUMBER: _ClassVar[int]
    consistency: Consistency
    lanes: int
    batch_transactions: int
    batch_bytes: int
    def __init__(self, consistency: _Optional[_Union[Consistency, str]] = ..., lanes: _Optional[int] = ..., batch_transactions: _Optional[int] = ..., batch_bytes: _Optional[int] = ...) -> None: ...

class Skip(_message.Message):
    __slots__ = ("gtid", "file", "offset", "tables", "at", "by", "what")
    GTID_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    gtid: str
    file: str
    offset: int
    tables: _containers.RepeatedScalarFieldContainer[str]
    at: _timestamp_pb2.Timestamp
    by: str
    what: str
    def __init__(self, gtid: _Optional[str] = ..., file: _Optional[str] = ..., offset: _Optional[int] = ..., tables: _Optional[_Iterable[str]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., by: _Optional[str] = ..., what: _Optional[str] = ...) -> None: ...

class Rules(_message.Message):
    __slots__ = ("rules",)
    RULES_FIELD_NUMBER: _ClassVar[int]
    rules: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rules: _Optional[_Iterable[str]] = ...) -> None: ...

class Warning(_message.Message):
    __slots__ = ("found", "fix")
    FOUND_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    found: str
    fix: str
    def __init__(self, found: _Optional[str] = ..., fix: _Optional[str] = ...) -> None: ...

class ChangefeedSpec(_message.Message):
    __slots__ = ("name", "uid", "source", "sink", "filter", "start", "start_position", "flavour", "options", "created", "former_filters", "skips", "warnings")
    NAME_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SINK_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    START_POSITION_FIELD_NUMBER: _ClassVar[int]
    FLAVOUR_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    FORMER_FILTERS_FIELD_NUMBER: _ClassVar[int]
    SKIPS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    name: str
    uid: str
    source: str
    sink: str
    filter: _containers.RepeatedScalarFieldContainer[str]
    start: str
    start_position: Position
    flavour: str
    options: ChangefeedOptions
    created: _timestamp_pb2.Timestamp
    former_filters: _containers.RepeatedCompositeFieldContainer[Rules]
    skips: _containers.RepeatedCompositeFieldContainer[Skip]
    warnings: _containers.RepeatedCompositeFieldContainer[Warning]
    def __init__(self, name: _Optional[str] = ..., uid: _Optional[str] = ..., source: _Optional[str] = ..., sink: _Optional[str] = ..., filter: _Optional[_Iterable[str]] = ..., start: _Optional[str] = ..., start_position: _Optional[_Union[Position, _Mapping]] = ..., flavour: _Optional[str] = ..., options: _Optional[_Union[ChangefeedOptions, _Mapping]] = ..., created: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., former_filters: _Optional[_Iterable[_Union[Rules, _Mapping]]] = ..., skips: _Optional[_Iterable[_Union[Skip, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[Warning, _Mapping]]] = ...) -> None: ...

class OwnershipChange(_message.Message):
    __slots__ = ("epoch", "node", "role", "reason", "at")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    node: str
    role: Role
    reason: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, epoch: _Optional[int] = ..., node: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., reason: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Ownership(_message.Message):
    __slots__ = ("uid", "epoch", "node", "role", "closed", "changes")
    UID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    uid: str
    epoch: int
    node: str
    role: Role
    closed: bool
    changes: _containers.RepeatedCompositeFieldContainer[OwnershipChange]
    def __init__(self, uid: _Optional[str] = ..., epoch: _Optional[int] = ..., node: _Optional[str] = ..., role: _Optional[_Union[Role, str]] = ..., closed: bool = ..., changes: _Optional[_Iterable[_Union[OwnershipChange, _Mapping]]] = ...) -> None: ...

class ChangefeedStatus(_message.Message):
    __slots__ = ("state", "checkpoint", "error", "attempts", "retry_at", "current_as_of")
    STATE_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    RETRY_AT_FIELD_NUMBER: _ClassVar[int]
    CURRENT_AS_OF_FIELD_NUMBER: _ClassVar[int]
    state: ChangefeedState
    checkpoint: Position
    error: ChangefeedError
    attempts: int
    retry_at: _timestamp_pb2.Timestamp
    current_as_of: _timestamp_pb2.Timestamp
    def __init__(self, state: _Optional[_Union[ChangefeedState, str]] = ..., checkpoint: _Optional[_Union[Position, _Mapping]] = ..., error: _Optional[_Union[ChangefeedError, _Mapping]] = ..., attempts: _Optional[int] = ..., retry_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., current_as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class NodeInfo(_message.Message):
    __slots__ = ("id", "address", "version", "started", "liveness", "lease")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    LIVENESS_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    id: str
    address: str
    version: str
    started: _timestamp_pb2.Timestamp
    liveness: Liveness
    lease: int
    def __init__(self, id: _Optional[str] = ..., address: _Optional[str] = ..., version: _Optional[str] = ..., started: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., liveness: _Optional[_Union[Liveness, str]] = ..., lease: _Optional[int] = ...) -> None: ...

class TableName(_message.Message):
    __slots__ = ("schema", "table")
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    schema: str
    table: str
    def __init__(self, schema: _Optional[str] = ..., table: _Optional[str] = ...) -> None: ...

class Fill(_message.Message):
    __slots__ = ("what", "ordered", "numbered")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    ORDERED_FIELD_NUMBER: _ClassVar[int]
    NUMBERED_FIELD_NUMBER: _ClassVar[int]
    what: str
    ordered: bool
    numbered: str
    def __init__(self, what: _Optional[str] = ..., ordered: bool = ..., numbered: _Optional[str] = ...) -> None: ...

class Edit(_message.Message):
    __slots__ = ("at", "until", "text")
    AT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    at: int
    until: int
    text: bytes
    def __init__(self, at: _Optional[int] = ..., until: _Optional[int] = ..., text: _Optional[bytes] = ...) -> None: ...

class Ddl(_message.Message):
    __slots__ = ("position", "gtid", "statement", "default_schema", "scope", "touches", "creates", "drops", "fills", "edits", "refusal", "skipped")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    GTID_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    TOUCHES_FIELD_NUMBER: _ClassVar[int]
    CREATES_FIELD_NUMBER: _ClassVar[int]
    DROPS_FIELD_NUMBER: _ClassVar[int]
    FILLS_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    position: Position
    gtid: str
    statement: str
    default_schema: str
    scope: DdlScope
    touches: _containers.RepeatedCompositeFieldContainer[TableName]
    creates: _containers.RepeatedCompositeFieldContainer[TableName]
    drops: _containers.RepeatedCompositeFieldContainer[TableName]
    fills: _containers.RepeatedCompositeFieldContainer[Fill]
    edits: _containers.RepeatedCompositeFieldContainer[Edit]
    refusal: str
    skipped: bool
    def __init__(self, position: _Optional[_Union[Position, _Mapping]] = ..., gtid: _Optional[str] = ..., statement: _Optional[str] = ..., default_schema: _Optional[str] = ..., scope: _Optional[_Union[DdlScope, str]] = ..., touches: _Optional[_Iterable[_Union[TableName, _Mapping]]] = ..., creates: _Optional[_Iterable[_Union[TableName, _Mapping]]] = ..., drops: _Optional[_Iterable[_Union[TableName, _Mapping]]] = ..., fills: _Optional[_Iterable[_Union[Fill, _Mapping]]] = ..., edits: _Optional[_Iterable[_Union[Edit, _Mapping]]] = ..., refusal: _Optional[str] = ..., skipped: bool = ...) -> None: ...

class DispatcherStatus(_message.Message):
    __slots__ = ("dispatcher", "epoch", "generation", "state", "position", "blocked", "error", "rows_events", "transactions", "node", "lane", "executed")
    DISPATCHER_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ROWS_EVENTS_FIELD_NUMBER: _ClassVar[int]
    TRANSACTIONS_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    EXECUTED_FIELD_NUMBER: _ClassVar[int]
    dispatcher: str
    epoch: int
    generation: int
    state: DispatcherState
    position: Position
    blocked: Ddl
    error: ChangefeedError
    rows_events: int
    transactions: int
    node: str
    lane: int
    executed: Position
    def __init__(self, dispatcher: _Optional[str] = ..., epoch: _Optional[int] = ..., generation: _Optional[int] = ..., state: _Optional[_Union[DispatcherState, str]] = ..., position: _Optional[_Union[Position, _Mapping]] = ..., blocked: _Optional[_Union[Ddl, _Mapping]] = ..., error: _Optional[_Union[ChangefeedError, _Mapping]] = ..., rows_events: _Optional[int] = ..., transactions: _Optional[int] = ..., node: _Optional[str] = ..., lane: _Optional[int] = ..., executed: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...
