# mypy: ignore-errors
# ruff: noqa
# fmt: off
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Frame(_message.Message):
    __slots__ = ("format", "hello", "welcome", "refusal", "message", "ping", "messages")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    format: int
    hello: Hello
    welcome: Welcome
    refusal: Refusal
    message: bytes
    ping: Ping
    messages: Messages
    def __init__(self, format: _Optional[int] = ..., hello: _Optional[_Union[Hello, _Mapping]] = ..., welcome: _Optional[_Union[Welcome, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., message: _Optional[bytes] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ..., messages: _Optional[_Union[Messages, _Mapping]] = ...) -> None: ...

class Messages(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, messages: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("cluster_id", "peer_id", "incarnation", "wanted_peer_id", "registered_index", "uri", "router")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    WANTED_PEER_ID_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_INDEX_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    ROUTER_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    peer_id: int
    incarnation: int
    wanted_peer_id: int
    registered_index: int
    uri: str
    router: bool
    def __init__(self, cluster_id: _Optional[str] = ..., peer_id: _Optional[int] = ..., incarnation: _Optional[int] = ..., wanted_peer_id: _Optional[int] = ..., registered_index: _Optional[int] = ..., uri: _Optional[str] = ..., router: _Optional[bool] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("peer_id", "incarnation")
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    peer_id: int
    incarnation: int
    def __init__(self, peer_id: _Optional[int] = ..., incarnation: _Optional[int] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("reason", "text")
    class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNSPECIFIED: _ClassVar[Refusal.Reason]
        STRANGER: _ClassVar[Refusal.Reason]
        STALE: _ClassVar[Refusal.Reason]
        REMOVED: _ClassVar[Refusal.Reason]
        FORMAT: _ClassVar[Refusal.Reason]
        NOT_READY: _ClassVar[Refusal.Reason]
    UNSPECIFIED: Refusal.Reason
    STRANGER: Refusal.Reason
    STALE: Refusal.Reason
    REMOVED: Refusal.Reason
    FORMAT: Refusal.Reason
    NOT_READY: Refusal.Reason
    REASON_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    reason: Refusal.Reason
    text: str
    def __init__(self, reason: _Optional[_Union[Refusal.Reason, str]] = ..., text: _Optional[str] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AddPeerRequest(_message.Message):
    __slots__ = ("peer_id", "uri", "port", "incarnation", "version", "cluster_id", "zone", "node_type", "feature_level")
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    NODE_TYPE_FIELD_NUMBER: _ClassVar[int]
    FEATURE_LEVEL_FIELD_NUMBER: _ClassVar[int]
    peer_id: int
    uri: str
    port: int
    incarnation: int
    version: str
    cluster_id: str
    zone: str
    node_type: str
    feature_level: int
    def __init__(self, peer_id: _Optional[int] = ..., uri: _Optional[str] = ..., port: _Optional[int] = ..., incarnation: _Optional[int] = ..., version: _Optional[str] = ..., cluster_id: _Optional[str] = ..., zone: _Optional[str] = ..., node_type: _Optional[str] = ..., feature_level: _Optional[int] = ...) -> None: ...

class AddPeerResponse(_message.Message):
    __slots__ = ("accepted", "refused")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    accepted: Accepted
    refused: Refused
    def __init__(self, accepted: _Optional[_Union[Accepted, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("cluster_id", "registered_index", "uri", "peers")
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_INDEX_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    registered_index: int
    uri: str
    peers: _containers.RepeatedCompositeFieldContainer[PeerAddress]
    def __init__(self, cluster_id: _Optional[str] = ..., registered_index: _Optional[int] = ..., uri: _Optional[str] = ..., peers: _Optional[_Iterable[_Union[PeerAddress, _Mapping]]] = ...) -> None: ...

class WhoIsThereRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WhoIsThereResponse(_message.Message):
    __slots__ = ("peer_id", "incarnation", "cluster_id")
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    peer_id: int
    incarnation: int
    cluster_id: str
    def __init__(self, peer_id: _Optional[int] = ..., incarnation: _Optional[int] = ..., cluster_id: _Optional[str] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class PeerAddress(_message.Message):
    __slots__ = ("peer_id", "uri")
    PEER_ID_FIELD_NUMBER: _ClassVar[int]
    URI_FIELD_NUMBER: _ClassVar[int]
    peer_id: int
    uri: str
    def __init__(self, peer_id: _Optional[int] = ..., uri: _Optional[str] = ...) -> None: ...

class CallHead(_message.Message):
    __slots__ = ("caller", "method")
    CALLER_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    caller: Hello
    method: str
    def __init__(self, caller: _Optional[_Union[Hello, _Mapping]] = ..., method: _Optional[str] = ...) -> None: ...

class CallError(_message.Message):
    __slots__ = ("kinds", "text", "fields")
    KINDS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    kinds: _containers.RepeatedScalarFieldContainer[str]
    text: str
    fields: bytes
    def __init__(self, kinds: _Optional[_Iterable[str]] = ..., text: _Optional[str] = ..., fields: _Optional[bytes] = ...) -> None: ...
