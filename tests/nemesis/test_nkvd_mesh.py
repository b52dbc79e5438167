"""A mesh of nkvd in which a cluster of dhrt is one node (tests/nemesis/nkvd_node.py)."""

import http.client
import json
import socket
import threading
import unittest
import urllib.parse

from harness import PATIENCE, Cluster, Node, free_port, main, run_dhrt, wait_until
from nkvd_node import NkvdNode, ask

MESH = ("--memory", "--nkvd-mesh")
SECONDS = 30


def name_to(node, *names):
    """Somebody tells a node of dhrt of others."""
    return ask(node.address, "/ping?nodes=" + urllib.parse.quote("|".join(names)), 20)


def shown(node):
    """{address: isDown} of what /ping shows, and the addresses whose source is init."""
    nodes = json.loads(ask(node.address, "/ping", 20)[1])["nodes"]
    return ({f"{n['host']}:{n['port']}": n["isDown"] for n in nodes},
            [f"{n['host']}:{n['port']}" for n in nodes if n["source"] == "init"])


def shows(node, nkvd, is_down=False):
    return shown(node)[0].get(nkvd.name) is is_down


def own(node):
    return f"127.0.0.1:{node.port}"


def redis(client, *words):
    """A command as Redis clients send it."""
    text = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    client.socket.sendall(f"*{len(words)}\r\n{text}".encode())


def increment(client, key):
    redis(client, "INCR", key)
    return client.receive()


def wait_shown(node, *nkvd):
    for other in nkvd:
        wait_until(lambda o=other: shows(node, o), SECONDS, f"{node.name} to show {other.name}")


def compared(node, nkvd):
    """How often both sides were compared to the end."""
    return sum("was compared" in text and nkvd.name in text
               for text in node.log_path.read_text().splitlines())


def wait_compared(node, nkvd, times=1):
    wait_until(lambda: compared(node, nkvd) >= times, SECONDS, f"{nkvd.name} to be compared")


def wait_record(nkvd, key, value):
    wait_until(lambda: nkvd.records.get(key) == value, SECONDS,
               f"{nkvd.name} to have {key!r} as {value!r}")


def wait_value(node, key, value):
    wait_until(lambda: node.call("get", key) == value, SECONDS,
               f"{node.name} to have {key!r} as {value!r}")


def mark(cluster, nkvd, number=iter(range(10 ** 6))):
    """A write of dhrt that is seen at a node of nkvd: what was written before is there, or never
    will be."""
    key = f"mark-{next(number)}"
    cluster[0].call("set", key, "1")
    wait_record(nkvd, key, "1")


class OneNode(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster(1, MESH))
        self.node = self.cluster[0]

    def nkvd(self, **options):
        return self.enterContext(NkvdNode(**options))

    def joined(self, **options):
        nkvd = self.nkvd(url=self.node.address, **options)
        wait_shown(self.node, nkvd)
        wait_until(lambda: nkvd.knows(self.node.address), SECONDS, "nkvd to know dhrt")
        wait_compared(self.node, nkvd)
        return nkvd

    def test_nkvd_joins_through_dhrt_and_writes_flow_both_ways_once(self):
        nkvd = self.joined()
        self.node.call("set", "ours", "1")
        wait_record(nkvd, "ours", "1")
        nkvd.client("/set?k=theirs&v=2")
        wait_value(self.node, "theirs", b"2")
        # From its client, and from itself: nkvd tells all nodes, so also the one that tells.
        wait_until(lambda: nkvd.count("/set", k="theirs") == 2, SECONDS, "nkvd to tell itself")
        mark(self.cluster, nkvd)
        self.assertEqual(nkvd.count("/set", k="ours", noReplicate="true"), 1)
        self.assertEqual(nkvd.count("/set", k="theirs"), 2)
        self.assertEqual(self.node.stats()["nkvd_writes_refused"], 0)

    def test_dhrt_joins_through_nkvd(self):
        nkvd = self.nkvd(url=None, takes_names=True)
        name_to(self.node, nkvd.name)
        wait_shown(self.node, nkvd)
        wait_until(lambda: nkvd.knows(self.node.address), SECONDS, "nkvd to be told of dhrt")
        nkvd.client("/set?k=a&v=1")
        wait_value(self.node, "a", b"1")

    def test_every_dialect_and_every_kind_of_write(self):
        nkvd = self.joined()
        self.node.call("set", "text", "1")
        ask(self.node.address, "/set?k=nkvd&v=1", 20)
        with self.node.client() as client:
            redis(client, "SET", "resp", "1")
            self.assertEqual([client.receive(), increment(client, "resp")], ["OK", 2])
        for key, value in (("text", "1"), ("nkvd", "1"), ("resp", "2")):
            wait_record(nkvd, key, value)
        self.node.call("del", "text")
        wait_until(lambda: "text" not in nkvd.records, SECONDS, "the delete to arrive")
        self.node.call("set", "short", "1", "--ttl", "300ms")
        wait_until(lambda: nkvd.count("/rm", k="short"), SECONDS, "the deadline to be told")
        self.node.call("flush", "default")
        wait_until(lambda: not nkvd.records, SECONDS, "everything to be deleted")
        mark(self.cluster, nkvd)

    def test_noReplicate_reaches_no_node_of_nkvd(self):
        nkvd = self.joined()
        self.node.call("set", "gone", "1")
        wait_record(nkvd, "gone", "1")
        ask(self.node.address, "/set?k=kept&v=1&noReplicate=1", 20)
        ask(self.node.address, "/rm?k=gone&noReplicate=true", 20)
        mark(self.cluster, nkvd)
        self.assertNotIn("kept", nkvd.records)
        self.assertEqual(nkvd.records["gone"], "1")
        ask(self.node.address, "/clear?noReplicate=true", 20)
        self.assertEqual(self.node.call("count"), 0)
        mark(self.cluster, nkvd)
        self.assertEqual(nkvd.records["gone"], "1")
        self.assertEqual(nkvd.count("/clear"), 0)
        # A write that follows is one of its own.
        ask(self.node.address, "/set?k=n&v=1&noReplicate=1", 20)
        with self.node.client() as client:
            self.assertEqual(increment(client, "n"), 2)
        wait_record(nkvd, "n", "2")

    def test_data_of_nkvd_is_copied_and_not_sent_back(self):
        nkvd = self.nkvd(url=None)
        nkvd.records.update({f"k{n}": f"v{n}" for n in range(1000)})
        nkvd.records.update({"both": "theirs", "\u2713": "\U00024B62"})
        self.node.call("set", "both", "ours")
        self.node.call("set", "mine", "1")
        name_to(self.node, nkvd.name)
        wait_value(self.node, "k999", b"v999")
        wait_record(nkvd, "mine", "1")
        wait_record(nkvd, "both", "ours")
        mark(self.cluster, nkvd)
        self.assertEqual(self.node.call("count"), 1004)
        self.assertEqual(self.node.call("get", "\u2713".encode()), "\U00024B62".encode())
        self.assertEqual(self.node.stats()["nkvd_records_copied"], 1001)
        sets = [fields["k"] for path, fields in nkvd.requests if path == "/set"]
        self.assertEqual(sorted(key for key in sets if not key.startswith("mark-")),
                         ["both", "mine"])

    def test_a_node_that_comes_back_gets_what_it_missed(self):
        nkvd = self.joined()
        port = nkvd.port
        self.node.call("set", "before", "1")
        self.node.call("set", "deleted", "1")
        wait_record(nkvd, "deleted", "1")
        left = dict(nkvd.records)
        nkvd.stop()
        wait_until(lambda: shows(self.node, nkvd, is_down=True), SECONDS, "it to be shown as down")
        self.node.call("set", "meanwhile", "2")
        self.node.call("del", "deleted")
        empty = self.nkvd(url=self.node.address, port=port)
        wait_record(empty, "meanwhile", "2")
        wait_record(empty, "before", "1")
        empty.stop()
        wait_until(lambda: shows(self.node, empty, is_down=True), SECONDS, "it to be down again")
        # As after a partition: with what it had.
        back = NkvdNode(url=None, port=port)
        back.records.update(left)
        self.enterContext(back)
        wait_record(back, "meanwhile", "2")
        wait_until(lambda: "deleted" not in back.records, SECONDS, "what was deleted to go")
        self.assertEqual(back.count("/set", k="before"), 0)

    def test_what_nkvd_cannot_take_is_counted(self):
        nkvd = self.joined()
        for key, value in (("k" * 64, "1"), ("v", "v" * 256), ("b", b"\xff"), (b"\xff", "1")):
            self.node.call("set", key, value)
        self.node.call("set", "k" * 63, "v" * 255)
        wait_record(nkvd, "k" * 63, "v" * 255)
        self.assertEqual(self.node.stats()["nkvd_writes_refused"], 4)
        told = [text for text in self.node.log_path.read_text().splitlines()
                if "was not passed on to nkvd" in text]
        self.assertEqual(len(told), 1)
        self.assertEqual(len([k for k in nkvd.records if not k.startswith("mark-")]), 1)

    def test_junk_is_nobody(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            name_to(self.node, "junk", "a:b", "1.2.3.4:0", f"127.0.0.1:{port}", own(self.node),
                    *(f"127.0.0.1:{n}" for n in range(1, 200)))
            nkvd = self.joined()
            self.assertEqual(set(shown(self.node)[0]), {own(self.node), nkvd.name})


class Off(unittest.TestCase):
    def test_without_the_flag_nothing_is_learned(self):
        with Cluster(1, ("--memory",)) as cluster, NkvdNode(url=cluster[0].address) as nkvd:
            wait_until(lambda: nkvd.knows(cluster[0].address), SECONDS, "nkvd to ask")
            name_to(cluster[0], nkvd.name)
            self.assertEqual(shown(cluster[0]), ({own(cluster[0]): False}, [own(cluster[0])]))
            self.assertEqual(nkvd.requests, [])

    def test_with_a_token_new_names_are_an_administrators(self):
        with NkvdNode() as nkvd:
            cluster = self.enterContext(Cluster(0))
            path = f"{cluster.folder}/tokens"
            with open(path, "w", encoding="ascii") as file:
                for role in ("read", "admin"):
                    file.write(f'[[token]]\nname = "{role}"\ntoken = "{role}-0123456789abcdef"\n'
                               f'role = "{role}"\n')
            node = Node("guarded", cluster.folder, (*MESH, "--auth-file", path))
            cluster.nodes.append(node)
            node.port = free_port()
            node.launch()
            wait_until(lambda: ask(node.address, "/_/health/live")[0] == 200, SECONDS, "a start")

            def status(role):
                connection = http.client.HTTPConnection(*node.address, timeout=20)
                connection.request("GET", "/ping?nodes=" + urllib.parse.quote(nkvd.name),
                                   headers={"Authorization": f"Bearer {role}-0123456789abcdef"})
                answer = connection.getresponse()
                answer.read()
                connection.close()
                return answer.status

            self.assertEqual(status("wrong"), 401)
            self.assertEqual(status("read"), 403)
            self.assertEqual(nkvd.requests, [])
            self.assertEqual(status("admin"), 200)
            wait_until(lambda: nkvd.count("/getAll"), SECONDS, "dhrt to come")
            wait_until(lambda: status("read") == 200, SECONDS, "the name to be known")


class ManyNodes(unittest.TestCase):
    """Three nodes of dhrt, two of nkvd."""

    def setUp(self):
        self.cluster = self.enterContext(Cluster(3, MESH))
        # From then on the gateway stays the same.
        for node in self.cluster:
            wait_until(lambda n=node: n.log_path.read_text().count("may be the gateway") == 2,
                       SECONDS, f"{node.name} to hear of the others")
        self.nkvd = [self.enterContext(NkvdNode(url=node.address))
                     for node in (self.cluster[0], self.cluster[1])]
        for node in self.cluster:
            wait_shown(node, *self.nkvd)
        gateway = self.wait_one_gateway()
        for nkvd in self.nkvd:
            wait_compared(gateway, nkvd)

    def wait_one_gateway(self):
        """All living nodes show the same one, which all living nodes of nkvd know."""
        living = {own(node): node for node in self.cluster.living()}

        def agreed():
            gateways = {tuple(shown(node)[1]) for node in living.values()}
            if len(gateways) != 1 or len(gateway := gateways.pop()) != 1:
                return None
            node = living.get(gateway[0])
            wanted = [nkvd.address for nkvd in self.nkvd] + ([node.address] if node else [])
            return node if all(n.knows(w) for n in self.nkvd for w in wanted) else None

        return wait_until(agreed, SECONDS, "all nodes to show one gateway, and nkvd to know it")

    def settle(self):
        for nkvd in self.nkvd:
            mark(self.cluster, nkvd)

    def test_each_write_enters_and_leaves_once(self):
        self.settle()
        for number in range(60):
            self.cluster[number % 3].call("set", f"d{number}", str(number))
        for number in range(20):
            self.nkvd[number % 2].client(f"/set?k=n{number}&v={number}")
        for node in self.cluster:
            for number in range(20):
                wait_value(node, f"n{number}", str(number).encode())
        for nkvd in self.nkvd:
            wait_until(lambda n=nkvd: {f"d{i}" for i in range(60)} <= n.records.keys(), SECONDS,
                       "all writes of dhrt")
        self.settle()
        for nkvd in self.nkvd:
            for number in range(60):
                self.assertEqual(nkvd.count("/set", k=f"d{number}"), 1)
            # What nkvd wrote came from nkvd alone: from the client, or from the other, and the
            # one that tells tells itself, too.
            for number in range(20):
                self.assertEqual(nkvd.count("/set", k=f"n{number}"),
                                 2 if nkvd is self.nkvd[number % 2] else 1)
        self.cluster.wait_same()

    def test_noReplicate_at_any_node_reaches_all_of_dhrt_and_none_of_nkvd(self):
        for number, node in enumerate(self.cluster):
            ask(node.address, f"/set?k=quiet{number}&v=1&noReplicate=true", 20)
        for node in self.cluster:
            for number in range(3):
                wait_value(node, f"quiet{number}", b"1")
        self.settle()
        for nkvd in self.nkvd:
            self.assertFalse([key for key in nkvd.records if key.startswith("quiet")])
        self.nkvd[0].client("/clear")
        wait_until(lambda: all(node.call("count") == 0 for node in self.cluster), SECONDS,
                   "nkvd to empty dhrt")
        # From the client, from each to itself and to the other.
        wait_until(lambda: sum(nkvd.count("/clear") for nkvd in self.nkvd) == 3, SECONDS,
                   "nkvd to tell all of nkvd")
        self.settle()
        self.assertEqual(sum(nkvd.count("/clear") for nkvd in self.nkvd), 3)

    def test_clear_at_any_node_reaches_nkvd(self):
        self.cluster[0].call("set", "a", "1")
        for nkvd in self.nkvd:
            wait_record(nkvd, "a", "1")
        gateway = self.wait_one_gateway()
        other = next(node for node in self.cluster if node is not gateway)
        with other.client() as client:
            client.call("flush", "default")
            client.call("set", "b", "2")
        for nkvd in self.nkvd:
            wait_record(nkvd, "b", "2")
            wait_until(lambda n=nkvd: "a" not in n.records, SECONDS, "a to be gone")

    def test_another_node_takes_over_when_the_gateway_is_killed(self):
        self.settle()
        gateway = self.wait_one_gateway()
        others = [node for node in self.cluster if node is not gateway]
        gateway.kill9()
        for number in range(50):
            others[number % 2].call("set", f"k{number}", str(number))
        for nkvd in self.nkvd:
            wait_until(lambda n=nkvd: {f"k{i}" for i in range(50)} <= n.records.keys(), 60,
                       "what was written meanwhile")
        # A node of nkvd finds the new one by whom it was told to ask, if that lives.
        self.nkvd = [nkvd for nkvd in self.nkvd if nkvd.url != gateway.address]
        heir = self.wait_one_gateway()
        self.assertIn(heir, others)
        self.nkvd[0].client("/set?k=back&v=1")
        for node in others:
            wait_value(node, "back", b"1")


class MeshNetworkUrl(unittest.TestCase):
    def start(self, cluster, url, flags=("--memory",)):
        node = Node(f"node{len(cluster.nodes) + 1}", cluster.folder, flags)
        node.environment["MESH_NETWORK_URL"] = url
        cluster.nodes.append(node)
        return node.start()

    def found(self, node, words):
        wait_until(lambda: node.log_has([words]), SECONDS, f"the log to say {words!r}")

    def test_a_mesh_of_nkvd(self):
        with Cluster(0) as cluster, NkvdNode(takes_names=True) as first:
            with NkvdNode(url=first.address) as second:
                first.join({"host": "127.0.0.1", "port": second.port, "isDown": False}, "ping")
                node = self.start(cluster, f"http://127.0.0.1:{first.port}")
                wait_shown(node, first, second)
                wait_until(lambda: second.knows(node.address), SECONDS, "nkvd to know dhrt")
                node.call("set", "a", "1")
                for nkvd in (first, second):
                    wait_record(nkvd, "a", "1")
                second.client("/set?k=b&v=2")
                wait_value(node, "b", b"2")

    def test_a_node_of_dhrt_is_joined(self):
        with Cluster(1, MESH) as cluster:
            self.start(cluster, f"http://127.0.0.1:{cluster[0].port}/")
            cluster.wait_healthy()
            self.assertEqual(len(cluster[0].states()), 2)

    def test_itself_behind_a_load_balancer_first(self):
        with socket.create_server(("127.0.0.1", 0)) as listener, Cluster(1, MESH) as cluster:
            targets = []
            url = "http://127.0.0.1:%d" % listener.getsockname()[1]
            node = self.start(cluster, url)
            targets[:] = [node.address] * 8 + [cluster[0].address]
            threading.Thread(target=balance, args=(listener, targets), daemon=True).start()
            cluster.wait_healthy()
            self.assertEqual(targets, [cluster[0].address])

    def test_nothing(self):
        with Cluster(0) as cluster, socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            listener.close()
            node = self.start(cluster, f"http://127.0.0.1:{port}")
            self.found(node, "connection refused")
            node.call("set", "a", "1")
            self.assertEqual(shown(node)[1], [own(node)])
            with NkvdNode(port=port, takes_names=True) as late:
                wait_record(late, "a", "1")

    def test_what_was_given_where_is_shown(self):
        plain = {"MESH_NETWORK_URL": "http://10.0.0.9:8080"}

        def line(*flags, env_more):
            out = run_dhrt("start", *flags, "--print-config", env_more=env_more)
            self.assertEqual(out.returncode, 0, out.stderr)
            return next(t for t in out.stdout.splitlines() if t.startswith("mesh_network_url"))

        self.assertIn("10.0.0.9:8080", line(env_more=plain))
        self.assertIn("MESH_NETWORK_URL", line(env_more=plain))
        self.assertIn("10.0.0.8", line(env_more={**plain, "DHRT_MESH_NETWORK_URL": "10.0.0.8:1"}))
        self.assertIn("10.0.0.7", line("--mesh-network-url", "10.0.0.7:1", env_more=plain))
        for url in ("https://10.0.0.9", "http://", "http://a/b", "[::1]:80", "a:0"):
            out = run_dhrt("start", "--mesh-network-url", url)
            self.assertEqual(out.returncode, 2, url)
            self.assertIn("http://HOST:PORT", out.stderr)


def balance(listener, targets):
    """A load balancer: each connection goes to the next target, the last one has all others."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        target = targets.pop(0) if len(targets) > 1 else targets[0]
        server = socket.create_connection(target)
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=pump, args=(source, sink), daemon=True).start()


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


STATUS = (b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\nConnection: close\r\n\r\n'
          b'{"maxKeyLength": 64}')
PING = b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\n{"nodes":[]}'


class Hostile(unittest.TestCase):
    """Whatever somebody in the mesh answers, the node serves its clients and the others."""

    def serve(self, answers):
        """A server that answers a path with what `answers` writes; status and ping are good."""
        listener = self.enterContext(socket.create_server(("127.0.0.1", 0), backlog=64))

        def talk(connection):
            try:
                with connection:
                    path = connection.recv(65536).split(b" ")[1].split(b"?")[0].decode()
                    seen.append(path)
                    answer = answers.get(path, {"/status": STATUS, "/ping": PING}.get(path, b""))
                    for piece in [answer] if isinstance(answer, bytes) else answer():
                        connection.sendall(piece)
                    connection.shutdown(socket.SHUT_WR)
            except (OSError, IndexError):
                pass

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

        seen = []
        threading.Thread(target=accept, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}", seen

    def endless(self):
        over = threading.Event()
        self.addCleanup(over.set)

        def pieces():
            yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            while not over.is_set():
                yield b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        return pieces

    def stalling(self, begin):
        over = threading.Event()
        self.addCleanup(over.set)

        def pieces():
            yield begin
            over.wait(60 * PATIENCE)
        return pieces

    def check(self, answers, path):
        """`path` is asked for again and again, and all others go on."""
        name, seen = self.serve(answers)
        with Cluster(1, MESH) as cluster, NkvdNode(url=cluster[0].address) as nkvd:
            node = cluster[0]
            node.call("set", "a", "1")
            name_to(node, name)
            wait_record(nkvd, "a", "1")
            for turn in range(3):
                count = seen.count(path)
                node.call("set", "again", str(turn))
                wait_record(nkvd, "again", str(turn))
                wait_until(lambda c=count: seen.count(path) > c, 60, f"{path} to be asked")
            mark(cluster, nkvd)
            self.assertTrue(node.alive())
            self.assertLess(node.memory_bytes(), 400 << 20)

    def test_garbage(self):
        self.check({"/ping": b"\x00\xff garbage\r\n\r\n"}, "/ping")

    def test_json_of_another_kind(self):
        body = b'{"nodes":[1,{"host":{},"port":"x"},{"host":"a b","port":-1},null,[]]}'
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.check({"/ping": head + body}, "/ping")

    def test_an_endless_answer_to_ping(self):
        self.check({"/ping": self.endless()}, "/ping")

    def test_half_an_answer(self):
        self.check({"/ping": self.stalling(b"HTTP/1.1 200 OK\r\nContent-Le")}, "/ping")

    def test_an_answer_that_is_cut(self):
        self.check({"/ping": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"}, "/ping")

    def test_writes_that_are_not_answered_well(self):
        self.check({"/set": b"no HTTP", "/getAll": b"none either"}, "/set")

    def test_writes_that_are_refused(self):
        good = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"
        self.check({"/set": b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
                    "/getAll": good + b'[{"k":1,{]]]'}, "/set")

    def test_an_endless_list(self):
        name, seen = self.serve({"/getAll": self.endless()})
        with Cluster(1, MESH) as cluster, NkvdNode(url=cluster[0].address) as nkvd:
            node = cluster[0]
            name_to(node, name)
            wait_until(lambda: node.log_has(["could not be read"]), 60 * PATIENCE, "the log")
            mark(cluster, nkvd)
            wait_until(lambda: "/set" in seen, SECONDS, "writes to be passed on all the same")
            self.assertLess(node.memory_bytes(), 400 << 20)


if __name__ == "__main__":
    main()
