"""How often somebody may do what costs us something: a bucket that fills steadily and is drawn from."""

from attrs import define, field


@define
class Allowance:
    """At most `burst` units at once, and `rate` units a second in the long run. Full at first. Times are in seconds, by
    any clock that never runs backwards."""

    rate: float
    burst: float
    _spent: float = field(default=0.0, init=False)
    _seen: float = field(default=0.0, init=False)

    def spend(self, cost: float, now: float) -> bool:
        """Take `cost` units. False if there are not so many, and none are taken."""
        self._spent = max(0.0, self._spent - (now - self._seen) * self.rate)
        self._seen = now
        if self._spent + cost > self.burst:
            return False
        self._spent += cost
        return True

    def has(self, cost: float, now: float) -> bool:
        """Whether there are so many units."""
        return max(0.0, self._spent - (now - self._seen) * self.rate) + cost <= self.burst
