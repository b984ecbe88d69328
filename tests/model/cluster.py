"""A whole cluster in one object, which moves one small step at a time.

Nothing here has a clock that decides over safety: whoever is not chosen for a while is slow or frozen, and a wait ends
whenever chance says so. What holds here holds whatever is slow.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hedgerow.common.epoch import Stamp
from hedgerow.common.pb.v1 import dispatch_pb2
from hedgerow.common.pb.v1 import model_pb2 as pb
from hedgerow.coordinator import changefeed as edits
from hedgerow.coordinator.changefeed import Change, Changefeed, Revisions
from hedgerow.maintainer.registry import Worker
from tests.model.chief import Chief, Edit
from tests.model.defects import Defect
from tests.model.etcd import Etcd
from tests.model.network import Message, Network
from tests.model.node import LANES, Node
from tests.model.owner import ModelClosing, ModelMaintainer
from tests.model.sink import Sink
from tests.model.source import TABLES, Source, at

MOST_NODES = 5
QUIET_ROUNDS = 300


class Cluster:
    def __init__(self, nodes: int, defect: Defect | None = None) -> None:
        self.defect = defect
        self.now = 1_700_000_000.0
        self.source = Source()
        self.sink = Sink(self.source, defect)
        self.etcd = Etcd()
        self.network = Network(self.etcd)
        self.nodes: dict[str, Node] = {}
        self.chiefs: list[Chief] = []
        self._joined = 0
        self._created = 0
        for _ in range(nodes):
            self.join()
        self.elect(0)

    # What happens to nodes.

    def join(self) -> None:
        if len(self.nodes) >= MOST_NODES:
            return
        self._joined += 1
        name = f"n{self._joined}"
        self.nodes[name] = Node(name, self.etcd, self.sink, self.network, self._start_worker, self.defect)
        self.etcd.nodes[name] = pb.ALIVE

    def elect(self, pick: int) -> None:
        """A new coordinator. The former ones do not know."""
        node = self._pick_node(pick)
        if node is not None:
            self.chiefs.append(Chief(node.id, self.etcd.elect(), self.etcd, self.sink, self.network, self.defect))

    def kill(self, pick: int) -> None:
        """SIGKILL: its sessions in the sink stay until the sink notices; it comes back as another node."""
        node = self._pick_node(pick)
        if node is not None:
            self._bury(node)
            self.join()

    def fence_locally(self, pick: int) -> None:
        """It notices that its session is lost: cuts its lanes, and comes back as another node."""
        node = self._pick_node(pick)
        if node is not None and node.id not in self.etcd.nodes and not node.frozen:
            node.host.local_fence()
            node.cut()
            self._bury(node)
            self.join()

    def _bury(self, node: Node) -> None:
        del self.nodes[node.id]
        self.etcd.nodes.pop(node.id, None)
        self.chiefs = [chief for chief in self.chiefs if chief.node != node.id]

    def freeze(self, pick: int, *, frozen: bool) -> None:
        node = self._pick_node(pick)
        if node is not None:
            node.frozen = frozen

    def cut_off(self, pick: int, *, cut_off: bool) -> None:
        """Its peers and it do not reach each other. It reaches etcd and the sink."""
        node = self._pick_node(pick)
        if node is not None:
            node.cut_off = cut_off

    def lose_lease(self, pick: int) -> None:
        """Etcd forgets the node, which does not know yet."""
        node = self._pick_node(pick)
        if node is not None:
            self.etcd.nodes.pop(node.id, None)

    def drain(self, pick: int) -> None:
        node = self._pick_node(pick)
        if node is not None and node.id in self.etcd.nodes:
            self.etcd.nodes[node.id] = pb.DRAINING

    def drop_session(self, pick: int) -> None:
        """The sink ends a session, for its own reasons."""
        sessions = sorted(self.sink.sessions)
        if sessions:
            self.sink.drop(self.sink.sessions[sessions[pick % len(sessions)]])

    # What users do.

    def create(self, name: str) -> None:
        chief, node = self.chief, self._owner_for(0)
        if chief is None or node is None or name in self.etcd.changefeeds:
            return
        self._created += 1
        uid = f"{name}-{self._created}"
        spec = pb.ChangefeedSpec(name=name, uid=uid, source=_SOURCE, sink=_SINK, flavour="mysql")
        spec.start_position.CopyFrom(at(self.source.end).write())
        spec.options.lanes = LANES
        self.sink.judge.starts[uid] = self.source.end
        ownership = edits.first_ownership(uid, node, "created by user", self.now)
        changefeed = Changefeed(spec, ownership, pb.ChangefeedStatus(state=pb.NORMAL), Revisions(0, 0, 0))
        self.etcd.create(chief.term, changefeed)

    def command(self, name: str, what: str, pick: int) -> None:
        """Reads now; the coordinator writes in its next step."""
        chief, changefeed, node = self.chief, self.etcd.changefeeds.get(name), self._owner_for(pick)
        if chief is None or changefeed is None or node is None:
            return
        if what in ("pause", "remove") and changefeed.epoch < self.etcd.reached[changefeed.uid]:
            return  # an epoch that an operator brought back would get a second role: nobody can tell the two apart
        now = self.now
        commands: dict[str, Callable[[Changefeed], Change]] = {
            "pause": lambda found: edits.pause(found, node, None, now),
            "resume": lambda found: edits.resume(found, node, now),
            "remove": lambda found: edits.remove(found, node, now),
            "move": lambda found: edits.move(found, node, "moved by user", now),
        }
        chief.edits.append(
            Edit(changefeed, commands[what], blind=what == "pause" and self.defect is Defect.BLIND_PAUSE)
        )

    def move_dispatcher(self, name: str, pick: int) -> None:
        chief, changefeed, node = self.chief, self.etcd.changefeeds.get(name), self._owner_for(pick)
        if chief is not None and changefeed is not None and node is not None and changefeed.running:
            chief.place_dispatcher(changefeed, TABLES[pick % len(TABLES)], node)

    def set_back(self, name: str, pick: int) -> None:
        """An operator restores the keys of a running changefeed as they were some epochs ago."""
        changefeed = self.etcd.changefeeds.get(name)
        if changefeed is None or not changefeed.running:
            return
        former: list[Changefeed] = []
        for older in reversed(self.etcd.history[name]):
            if older.uid != changefeed.uid or not older.running or older.epoch > changefeed.epoch:
                break
            former.append(older)
        if former:
            self.network.legacy.add(changefeed.uid)
            self.etcd.set_back(name, former[pick % len(former)])

    def send_legacy(self, name: str, method: str, pick: int) -> None:
        """A sender that predates epochs."""
        changefeed = self.etcd.changefeeds.get(name)
        sender, to = self._pick_node(pick), self._pick_node(pick // 7)
        if changefeed is None or sender is None or to is None:
            return
        stamp = Stamp(changefeed.uid, 0, sender.id).write()
        placement = dispatch_pb2.DispatcherPlacement(dispatcher=TABLES[0], generation=pick % 3)
        request = {
            "Bootstrap": dispatch_pb2.BootstrapRequest(stamp=stamp),
            "Schedule": dispatch_pb2.ScheduleRequest(stamp=stamp, create=[placement]),
            "Close": dispatch_pb2.CloseRequest(stamp=stamp),
        }[method]
        self.network.send(Message(sender.id, to.id, method, request, lambda answer: None))

    # Small steps.

    def run(self, random: Random, steps: int, losses: float) -> None:
        """`losses`: how likely a message, a write or an answer is lost, a message comes twice, or a wait ends early."""
        for _ in range(steps):
            draw = random.random()
            if draw < 0.4 and self.network.waiting:
                self.deliver(random, losses)
            elif draw < 0.6:
                self._step_lane(random, losses)
            elif draw < 0.8:
                self._step_owner(random, losses)
            elif draw < 0.9:
                self._step_manager(random)
            elif self.chiefs:
                self._step_chief(random.choice(self.chiefs), random, losses)

    def deliver(self, random: Random, losses: float) -> None:
        message = self.network.take(random, doubles=losses / 2)
        node = self.nodes.get(message.to)
        sender = self.nodes.get(message.sender)
        is_cut = message.to != message.sender and any(end and end.cut_off for end in (node, sender))
        if node is None or is_cut or random.random() < losses / 2:
            return
        if node.frozen:
            self.network.waiting.append(message)
        elif message.method:
            node.receive(message)
        else:
            message.reply(message.body)

    def _step_lane(self, random: Random, losses: float) -> None:
        managers = [manager for node in self._awake() for manager in node.managers if manager.lanes]
        if managers:
            random.choice(managers).step(random, self.now, breaks=random.random() < losses / 2)

    def _step_manager(self, random: Random) -> None:
        nodes = [node for node in self._awake() if node.managers]
        if nodes:
            node = random.choice(nodes)
            random.choice(node.managers).run(self.now)
            node.finish_closing()

    def _step_owner(self, random: Random, losses: float) -> None:
        workers = [worker for node in self._awake() for worker in node.host.workers if not _is_over(worker)]
        if workers:
            _step(random.choice(workers), random, self.now, losses)

    def _step_chief(self, chief: Chief, random: Random, losses: float) -> None:
        here = self.nodes[chief.node]
        if here.frozen:
            return
        if random.random() >= losses:
            chief.look()
        for name in self.etcd.nodes:
            node = self.nodes.get(name)
            own = name == chief.node
            is_reached = (
                node is not None and not node.frozen and (own or not node.cut_off) and (own or not here.cut_off)
            )
            chief.poll(name, node if is_reached else None)
        if not chief.over:
            chief.step(random, self.now, losses)
        self.chiefs = [chief for chief in self.chiefs if not chief.over]
        self.now += random.choice((0.1, 0.1, 2.0, 61.0))

    # The end of a run.

    def settle(self, random: Random) -> None:
        """Everything thaws, nothing is lost any more, and whoever lost its session comes back as another node."""
        for node in list(self.nodes.values()):
            node.frozen = node.cut_off = False
            if node.id not in self.etcd.nodes:
                node.cut()
                self._bury(node)
        self.join()
        held = {lane.session for node in self._awake() for m in node.managers for lane in m.lanes.values()}
        for session in list(self.sink.sessions.values()):
            if session not in held:
                self.sink.drop(session)  # the server notices that its client is gone
        if self.chief is None:
            self.elect(0)
        for _ in range(QUIET_ROUNDS):
            if not (pending := self.pending()):
                return
            self._quiet_round(random)
        raise AssertionError(f"no rest after {QUIET_ROUNDS} quiet rounds: {pending}")

    def _quiet_round(self, random: Random) -> None:
        for chief in list(self.chiefs):
            self._step_chief(chief, random, 0.0)
        while self.network.waiting:
            self.deliver(random, 0.0)
        for node in self._awake():
            for worker in node.host.workers:
                if not _is_over(worker):
                    _step(worker, random, self.now, 0.5)  # a call that is open still was lost
            for manager in node.managers:
                manager.run(self.now)
                for _ in range(2 * len(manager.lanes)):
                    manager.step(random, self.now, breaks=False)
            node.finish_closing()

    def pending(self) -> str:
        """What is not as it should be at the end; empty when everything is."""
        for name, changefeed in self.etcd.changefeeds.items():
            if changefeed.status.state == pb.REMOVED:
                return f"{name} is still being removed: {changefeed.ownership}"
            if not changefeed.running and not changefeed.ownership.closed:
                return f"{name} is still being closed: {changefeed.ownership}"
            if changefeed.status.state == pb.WARNING:
                return f"{name} is in warning: {changefeed.status.error}"
            for key in TABLES if changefeed.running else ():
                last = self.sink.judge.applied.get((changefeed.uid, key), self.sink.judge.starts[changefeed.uid])
                if (missing := self.source.following(key, last)) is not None:
                    return f"{name}: {key} lacks transaction {missing} in epoch {changefeed.epoch}"
        return ""

    def check(self) -> None:
        """What holds in every state, beyond what is checked where it happens."""
        for changefeed in self.etcd.changefeeds.values():
            fence = self.sink.fences.get(changefeed.uid, (0, ""))[0]
            if changefeed.uid not in self.network.legacy:
                assert fence <= changefeed.epoch, (
                    f"the fence of {changefeed.uid} is at {fence}, above etcd's {changefeed.epoch}"
                )
        known = {changefeed.uid for changefeed in self.etcd.changefeeds.values()}
        left = self.sink.progress.keys() - known
        assert not left, f"progress of removed changefeeds: {left}"

    # Who there is.

    @property
    def chief(self) -> Chief | None:
        """The coordinator that users reach: the latest that is awake."""
        awake = [chief for chief in self.chiefs if not self.nodes[chief.node].frozen]
        return awake[-1] if awake and awake[-1].term == self.etcd.term else None

    def _awake(self) -> list[Node]:
        return [node for node in self.nodes.values() if not node.frozen]

    def _pick_node(self, pick: int) -> Node | None:
        nodes = list(self.nodes.values())
        return nodes[pick % len(nodes)] if nodes else None

    def _owner_for(self, pick: int) -> str | None:
        nodes = [node for node, liveness in self.etcd.nodes.items() if liveness == pb.ALIVE]
        return nodes[pick % len(nodes)] if nodes else None

    def _start_worker(self, node: str, stamp: Stamp, spec: pb.ChangefeedSpec, forget: bool | None) -> Worker:
        if forget is None:
            return ModelMaintainer(node, stamp, spec, self.etcd, self.sink, self.network)
        closing = ModelClosing(node, stamp, spec, self.etcd, self.sink, self.network, forget=forget)
        closing.defect = self.defect
        return closing


_SOURCE = "mysql://root@source.example:3306/?password_env=NOT_READ"
_SINK = "mysql://root@sink.example:3306/?password_env=NOT_READ"


def _is_over(worker: Worker) -> bool:
    assert isinstance(worker, ModelMaintainer | ModelClosing)
    return worker.is_over


def _step(worker: Worker, random: Random, now: float, impatience: float) -> None:
    assert isinstance(worker, ModelMaintainer | ModelClosing)
    worker.step(random, now, impatience)
