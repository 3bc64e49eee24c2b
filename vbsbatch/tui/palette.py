"""The palette: every action by its name; a name that begins as typed comes before any other."""

from __future__ import annotations

from textual.command import DiscoveryHit, Hit, Hits, Provider


class Actions(Provider):
    """The actions of the application and of the screen that the palette was opened on."""

    async def discover(self) -> Hits:
        """All of them, before anything is typed."""
        for name, what, do, *_ in self.app.get_system_commands(self.screen):
            yield DiscoveryHit(name, do, help=what)

    async def search(self, query: str) -> Hits:
        """Those that fit, the best first."""
        matcher = self.matcher(query)
        for name, what, do, *_ in self.app.get_system_commands(self.screen):
            score = matcher.match(name)
            if score > 0:
                yield Hit(_rank(name, query) + score, matcher.highlight(name), do, help=what)


def _rank(name: str, query: str) -> float:
    """More than any score where the name is what was typed, or begins so."""
    wanted, found = query.strip().lower(), name.partition(":")[0]
    if found == wanted:
        return 2_000.0
    return 1_000.0 if name.startswith(wanted) else 0.0
