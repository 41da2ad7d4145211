# SPDX-License-Identifier: GPL-2.0-or-later
"""A cluster in one process: how serf's gossip carries what virtxd's pacing and pulls give it.

Of memberlist and serf (lan profile) it has the rounds of 200 ms to 3 random peers, pings that carry
messages too, packets of 1400 bytes, the number of transmissions, the order of the queue, the window of
512, and the exchange of everything with one peer now and then; no UDP packet is lost, and no time is
spent on the network. Of virtxd it has virtxd/serf/gossip.c, pacer.c and anti_entropy.c. Times are ms.
"""

import heapq
import math
import random

STEP = 50
PACKET = 1369
VE_SIZE, HI_SIZE = 148, 200  # bytes in serf's queue
VE, HI = 0, 1


def cluster_rate(members):
    """User events a second that serf carries in all, for so many members."""
    if members <= 3:
        return 20 if members == 3 else 10
    return 30 if members <= 9 else 15 if members <= 99 else 10


class Message:
    __slots__ = ("origin", "kind", "seq", "ltime", "size")

    def __init__(self, origin, kind, seq, ltime):
        self.origin, self.kind, self.seq, self.ltime = origin, kind, seq, ltime
        self.size = (VE_SIZE, HI_SIZE)[kind]

    def cost(self):
        return 8 / min(8, PACKET // (self.size + 3))


class Host:
    """An agent and its virtxd."""

    def __init__(self, n):
        self.n = n
        # serf: for each number of transmissions the small and the large messages, newest last
        self.tiers, self.queued, self.queue_max = [], 0, 0
        self.clock, self.seen, self.buffer = 1, set(), {}
        # gossip.c
        self.seq, self.waiting, self.told = 0, [], 0
        self.next_hi, self.confirm_at, self.confirm_digest = 0, None, False
        self.changed_at, self.crowded_at = 0, None
        # pacer.c
        self.tokens, self.pool, self.lent_at, self.at = 0, 128, -2000, 0
        # anti_entropy.c
        self.base, self.extra, self.due, self.pulling = [], {}, set(), 0


class Model:
    """cpus: that all hosts share, as in a real run on one machine; None: each has its own."""

    def __init__(self, n, vms, cpus=None, pull_cpu=1.8):
        self.n, self.vms, self.now = n, vms, 0
        self.transmits = 4 * math.ceil(math.log10(n + 1))
        self.rate = cluster_rate(n) / 2
        self.burst = min(8, max(2, 128 / n))
        self.period = 15000 * ((n + 31) // 32)
        self.cpus, self.pull_cpu, self.cpu_free = cpus, pull_cpu, 0
        self.pulls, self.order = [], 0
        self.made = {}  # (host, number of the change): when
        self.took, self.sent, self.unknown = [], 0, 0
        self.hosts = [Host(i) for i in range(n)]
        for host in self.hosts:
            host.tiers = [([], []) for _ in range(self.transmits)]
            host.next_hi = random.randrange(self.period)
            host.tokens = self.burst
            host.base = [0] * n

    # pacer.c

    def refill(self, host):
        passed = (self.now - host.at) / 1000
        host.at = self.now
        host.tokens = min(host.tokens + passed * self.rate / self.n, self.burst)
        host.pool = min(host.pool + passed * self.rate, 128)

    def may(self, host, tokens):
        self.refill(host)
        return host.tokens >= tokens or (host.pool >= 64 and self.now >= host.lent_at + 2000)

    # gossip.c

    def change(self, host, crowd=False):
        """A VM of the host changes; crowd: so many at once that a digest tells them."""
        host.seq += 1
        self.made[host.n, host.seq] = self.now
        self.unknown += self.n - 1
        host.changed_at = self.now
        host.waiting.append((self.now, host.seq))
        if host.crowded_at is None and (crowd or len(host.waiting) > 8):
            host.crowded_at = self.now
        if host.crowded_at is not None:
            host.waiting.clear()

    def emit(self, host, kind, seq):
        host.clock += 1
        message = Message(host.n, kind, seq, host.clock)
        self.sent += 1
        self.refill(host)
        if host.tokens < message.cost():
            host.lent_at = self.now
        host.tokens = max(host.tokens - message.cost(), -4 * self.burst)
        self.receive(host, message)

    def emit_hi(self, host):
        host.next_hi = self.now + self.period * random.uniform(0.9, 1.1)
        self.emit(host, HI, host.seq)
        host.confirm_digest = host.crowded_at is not None
        host.confirm_at = self.now + random.uniform(1800, 2200) if host.confirm_digest else None
        host.crowded_at = None

    def run(self, host):
        now = self.now
        if now >= host.next_hi:
            self.emit_hi(host)
        if host.crowded_at is not None:
            if now >= min(host.changed_at + 300, host.crowded_at + 2000) and self.may(host, -1):
                self.emit_hi(host)
        else:
            while host.waiting and now >= host.waiting[0][0] + 50 and self.may(host, 1):
                self.emit(host, VE, host.waiting.pop(0)[1])
                host.confirm_at = host.confirm_at or now + random.uniform(1800, 2200)
        if host.confirm_at and now >= host.confirm_at:
            if host.confirm_digest:
                self.refill(host)
                if host.pool >= 64:
                    self.emit_hi(host)
            else:
                host.confirm_at = None
                self.refill(host)
                if host.tokens >= self.burst / 2:
                    self.emit_hi(host)

    # What a host knows of the others

    def learn(self, host, origin, seq):
        """One change is known."""
        if seq <= host.base[origin] or seq in host.extra.get(origin, ()):
            return
        self.took.append(self.now - self.made[origin, seq])
        self.unknown -= 1
        extra = host.extra.setdefault(origin, set())
        extra.add(seq)
        while host.base[origin] + 1 in extra:
            host.base[origin] += 1
            extra.remove(host.base[origin])

    def knows(self, host, origin, seq):
        return host.base[origin] >= seq or all(
            i in host.extra.get(origin, ()) for i in range(host.base[origin] + 1, seq + 1))

    def plan(self, when, what, host, origin):
        self.order += 1
        heapq.heappush(self.pulls, (when, self.order, what, host, origin))

    def run_pulls(self):
        while self.pulls and self.pulls[0][0] <= self.now:
            _, _, what, host, origin = heapq.heappop(self.pulls)
            if what == "answer":
                host.pulling -= 1
                host.due.discard(origin)
                for seq in range(host.base[origin] + 1, self.hosts[origin].seq + 1):
                    self.learn(host, origin, seq)
            elif host.pulling >= 8:
                self.plan(self.now + 1, "ask", host, origin)
            elif self.knows(host, origin, self.hosts[origin].seq):
                host.due.discard(origin)
            else:
                host.pulling += 1
                began = self.now if not self.cpus else max(self.now, self.cpu_free)
                took = self.pull_cpu / (self.cpus or 1)
                self.cpu_free = began + took
                self.plan(began + took, "answer", host, origin)

    # serf

    def receive(self, host, message):
        if message in host.seen or message.ltime < host.clock - 512:
            return
        host.clock = max(host.clock, message.ltime + 1)
        host.seen.add(message)
        host.buffer[message.ltime % 512] = message
        host.tiers[0][message.kind].append(message)
        host.queued += 1
        host.queue_max = max(host.queue_max, host.queued)
        self.refill(host)
        host.pool = max(host.pool - message.cost(), -128)
        if message.origin == host.n:
            return
        if message.kind == VE:
            self.learn(host, message.origin, message.seq)
        elif message.origin not in host.due and not self.knows(host, message.origin, message.seq):
            host.due.add(message.origin)
            self.plan(self.now + random.uniform(1, 501), "ask", host, message.origin)

    def packet(self, host):
        """What goes into a packet: fewest transmissions first, then large ones, then new ones."""
        room, taken = PACKET, []
        for tier, lists in enumerate(host.tiers):
            for kind in (HI, VE):
                while lists[kind] and lists[kind][-1].size + 3 <= room:
                    message = lists[kind].pop()
                    room -= message.size + 3
                    taken.append((tier + 1, message))
        for tier, message in taken:
            if tier < self.transmits:
                host.tiers[tier][message.kind].append(message)
            else:
                host.queued -= 1
        return [message for _, message in taken]

    def send(self, host, other):
        if host.queued:
            for message in self.packet(host):
                self.receive(other, message)

    def peer(self, host):
        other = random.randrange(self.n - 1)
        return self.hosts[other + (other >= host.n)]

    def step(self):
        self.now += STEP
        phase = self.now // STEP
        full = 30000 * (1 if self.n <= 32 else math.ceil(math.log2(self.n) - 5) + 1)
        for host in self.hosts:
            self.run(host)
            if (phase + host.n) % 4 == 0 and host.queued:
                others = random.sample(range(self.n - 1), min(3, self.n - 1))
                for other in others:
                    self.send(host, self.hosts[other + (other >= host.n)])
            if (phase + host.n) % 20 == 0:
                other = self.peer(host)
                self.send(host, other)
                self.send(other, host)
            if random.random() < STEP / full:
                other = self.peer(host)
                for one, another in ((host, other), (other, host)):
                    for message in list(one.buffer.values()):
                        self.receive(another, message)
        self.run_pulls()

    def pass_time(self, ms):
        for _ in range(int(ms / STEP)):
            self.step()


def measure_steady(n, vms, percent=1, seconds=120, **how):
    """Changes one by one: {name: figure}, seconds; latencies sorted in 'took'."""
    model = Model(n, vms, **how)
    model.pass_time(30000)
    rate = n * vms * percent / 100 / 60000
    sent, due, until = model.sent, model.now, model.now + seconds * 1000
    while model.now < until:
        while model.now >= due:
            model.change(random.choice(model.hosts))
            due += random.expovariate(rate)
        model.step()
    events = (model.sent - sent) / seconds
    model.pass_time(60000)
    took = sorted(took / 1000 for took in model.took)
    at = {share: took[min(int(len(took) * share), len(took) - 1)] for share in (.5, .99, .999)}
    return {"events": events, "50%": at[.5], "99%": at[.99], "99.9%": at[.999], "last": took[-1],
            "lost": model.unknown, "queue": max(host.queue_max for host in model.hosts)}


def measure_storm(n, vms, **how):
    """All VMs of all hosts change at once."""
    model = Model(n, vms, **how)
    model.pass_time(30000)
    began, sent = model.now, model.sent
    for host in model.hosts:
        model.change(host, crowd=True)
    model.pass_time(90000)
    return {"complete": max(model.took) / 1000, "lost": model.unknown, "events": model.sent - sent,
            "queue": max(host.queue_max for host in model.hosts), "began": began}
