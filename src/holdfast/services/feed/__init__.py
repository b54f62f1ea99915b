"""Live events: one thread reads what was committed and hands it to every watcher of the process."""

from holdfast.services.feed.messages import RETRY
from holdfast.services.feed.subscription import Subscription
from holdfast.services.feed.tail import EventPage, Feed

__all__ = ["RETRY", "EventPage", "Feed", "Subscription"]
