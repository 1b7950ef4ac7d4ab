"""A generated site of known size, and what a crawl of it must find.

Everything is laid down twice: as files and nginx configuration, and as a list of what each address answers and leads to. The
expected result is computed from the list alone.
"""
import collections
import os
import random

ELSEWHERE = ["http://192.0.2.1/", "https://example.org/", "mailto:someone@example.org", "javascript:void(0)",
             "ftp://example.org/x"]


class Entry:
    """What one address answers. outcome is a status or a kind of error; size is None where nginx writes the body itself."""

    def __init__(self, outcome, leads_to=(), size=None, is_redirect=False):
        self.outcome = outcome
        self.leads_to = list(leads_to)
        self.size = size
        self.is_redirect = is_redirect


class Site:
    """total addresses in all, reachable from "/"; PORT in a location stands for nginx's port."""

    def __init__(self, folder, total, upstream_pages, seed=1):
        self.root = os.path.join(folder, "root")
        self.entries = collections.OrderedDict()
        self.locations = []
        self.upstream_pages = upstream_pages
        self.random = random.Random(seed)
        self.add_special()
        self.add_plain(total - len(self.entries) - 1)
        self.add_index()
        assert len(self.entries) == total, len(self.entries)

    # ---- laying down ----

    def write(self, path, data):
        file_path = os.path.join(self.root, path.lstrip("/"))
        os.makedirs(os.path.dirname(file_path), exist_ok=True)
        with open(file_path, "wb") as file:
            file.write(data)

    def html(self, links, filler=0):
        """links is a list of (what stands in the page, where that leads or None)."""
        parts = ["<!doctype html><html><head><title>page</title></head><body>"]
        parts += [f"<p><a href=\"{written}\">a link</a>" for written, _ in links]
        parts.append("<p>" + "lorem ipsum " * filler + "</body></html>\n")
        return "".join(parts).encode()

    def targets(self, links):
        return [target for _, target in links if target]

    def page(self, path, links, filler=0, target=None):
        body = self.html(links, filler)
        self.write(path, body)
        self.entries[target or path] = Entry(200, self.targets(links), len(body))

    def proxied(self, path, links, outcome=200):
        body = self.html(links, 20)
        self.upstream_pages[path] = body
        self.entries[path] = Entry(outcome, self.targets(links) if outcome == 200 else (), len(body))

    def redirect(self, path, status, written, target):
        self.locations.append(f"location = {path} {{ return {status} {written}; }}")
        self.entries[path] = Entry(status, [target] if target else [], is_redirect=True)

    def status(self, path, status):
        if status != 404:
            self.locations.append(f"location = {path} {{ return {status}; }}")
        self.entries[path] = Entry(status)

    def add_special(self):
        for number in range(10):
            self.proxied(f"/slow/{number}", [("/", "/"), (f"/after/slow/{number}", f"/after/slow/{number}")])
            self.status(f"/after/slow/{number}", 404)
        for number in range(3):
            for kind in ("chunked", "close"):
                self.proxied(f"/{kind}/{number}", [(f"../only/from-{kind}-{number}.html", f"/only/from-{kind}-{number}.html")])
                self.page(f"/only/from-{kind}-{number}.html", [("..", "/")])
        self.proxied("/truncated/1", [("/never/seen", "/never/seen")], outcome="truncated")
        for number in range(8):
            self.status(f"/missing/{number}", 404)
        for path, status in (("/gone", 410), ("/forbidden", 403), ("/broken", 500)):
            self.status(path, status)
        self.redirect("/moved/relative", 301, "/only/moved.html", "/only/moved.html")
        absolute = "/only/moved.html?from=absolute"
        self.redirect("/moved/absolute", 302, "http://127.0.0.1:PORT" + absolute, absolute)
        self.redirect("/moved/missing", 307, "/missing/0", "/missing/0")
        self.redirect("/moved/loop/a", 302, "/moved/loop/b", "/moved/loop/b")
        self.redirect("/moved/loop/b", 302, "/moved/loop/a", "/moved/loop/a")
        self.redirect("/moved/self", 302, "/moved/self", "/moved/self")
        # The same server under another name: whoever follows this is seen in its log.
        self.redirect("/moved/away", 302, "http://localhost:PORT/away.html", None)
        self.page("/only/moved.html", [("/", "/")])
        self.entries[absolute] = self.entries["/only/moved.html"]
        self.page("/folder/index.html", [("page.html?x=1&amp;y=2", "/folder/page.html?x=1&y=2")], target="/folder/")
        self.entries["/folder"] = Entry(301, ["/folder/"], is_redirect=True)
        xy, z = "/folder/page.html?x=1&y=2", "/folder/page.html?z"
        self.page("/folder/page.html", [("./deeper/../page.html?x=1&amp;y=2#part", xy), ("?z", z)], target=xy)
        self.entries[z] = self.entries[xy]
        self.page("/with space.html", [("/", "/")], target="/with%20space.html")
        self.page("/umlaut-ä.html", [("/", "/")], target="/umlaut-%C3%A4.html")
        self.page("/empty.html", [])
        self.write("/empty.html", b"")
        self.entries["/empty.html"].size = 0
        behind = [("/only/from-large.html", "/only/from-large.html")]
        self.page("/large.html", [(link, None) for link in ELSEWHERE] + behind, filler=60000)
        self.page("/only/from-large.html", [])
        self.write("/notes.txt", b"<a href='/never/from-text'>no link</a>")
        self.entries["/notes.txt"] = Entry(200, size=38)
        self.write("/picture.png", bytes(range(256)) * 40)
        self.entries["/picture.png"] = Entry(200, size=10240)

    def add_plain(self, count):
        """Pages with a chain through all of them, links back, links across, and one into the special part each."""
        behind = ("/only/", "/after/", "/folder/", "/moved/loop/b")
        special = [target for target in self.entries if not target.startswith(behind)]
        self.plain = [f"/plain/{number // 40}/{number}.html" for number in range(count)]
        for number, path in enumerate(self.plain):
            others = [self.plain[min(number + 1, count - 1)], self.plain[number // 2], *self.random.sample(self.plain, 3)]
            links = [("../" + "/".join(other.split("/")[2:]), other) for other in others]
            links.append((special[number % len(special)].replace("&", "&amp;"), special[number % len(special)]))
            self.page(path, links, filler=number)

    def add_index(self):
        links = [(self.plain[0], self.plain[0]), ("/umlaut-ä.html", "/umlaut-%C3%A4.html"),
                 ("with space.html", "/with%20space.html"), ("#top", "/"), ("", "/"), ("//127.0.0.1:1/", None)]
        self.page("/index.html", links + [(link, None) for link in ELSEWHERE], target="/")

    # ---- what to expect ----

    def depths(self, limit=None):
        """Every address a crawl must ask for, with the fewest links from the start; a redirect is no link."""
        depths, queue = {"/": 0}, collections.deque(["/"])
        while queue:
            target = queue.popleft()
            entry = self.entries[target]
            depth = depths[target] + (not entry.is_redirect)
            if limit is not None and depth > limit:
                continue
            for other in entry.leads_to:
                if depth < depths.get(other, depth + 1):
                    depths[other] = depth
                    (queue.appendleft if entry.is_redirect else queue.append)(other)
        return depths

    def outcomes(self, limit=None):
        return {target: self.entries[target].outcome for target in self.depths(limit)}

    def sizes(self):
        return {target: entry.size for target, entry in self.entries.items() if entry.size is not None and entry.outcome == 200}

    def configuration(self, upstream_port):
        proxy = f"proxy_pass http://127.0.0.1:{upstream_port}; proxy_buffering on; proxy_next_upstream off;"
        return "\n        ".join(["merge_slashes off;", "absolute_redirect off;"] + self.locations + [
            f"location ~ ^/(slow|chunked|truncated)/ {{ {proxy} }}",
            f"location /close/ {{ {proxy} chunked_transfer_encoding off; }}"])


def tally(outcomes, wanted):
    """How often each status (wanted is int) or kind of error (str) occurs."""
    return dict(collections.Counter(str(outcome) for outcome in outcomes.values() if isinstance(outcome, wanted)))
