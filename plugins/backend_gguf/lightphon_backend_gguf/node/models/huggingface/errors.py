"""What goes wrong with a hub, as lines that say what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager

from httpx2 import HTTPError
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)


class HubError(Exception):
    """A model cannot be had from the hub. The message is one line for the operator."""


@contextmanager
def explained(repository: str, endpoint: str) -> Iterator[None]:
    """The library's errors as a line that says what to do next."""
    try:
        yield
    except GatedRepoError:
        raise HubError(
            f"{repository}: access is granted by its owner. Ask for it at {endpoint}/{repository}, then set HF_TOKEN "
            "to a token of the account that has it."
        ) from None
    except RepositoryNotFoundError:
        raise HubError(
            f"{repository}: there is no such repository at {endpoint}, or it is private and HF_TOKEN is not set to a "
            "token that may read it."
        ) from None
    except (EntryNotFoundError, LocalEntryNotFoundError):
        raise HubError(
            f"{repository}: a file has gone from the repository while it was asked for. Try again."
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        advice = (
            " HF_TOKEN is not valid there." if status == 401 else " HF_TOKEN may not read it." if status == 403 else ""
        )
        raise HubError(f"{repository}: {endpoint} answered with status {status}.{advice}") from None
    except HTTPError as error:
        raise HubError(
            f"{repository}: the connection to {endpoint} broke off ({type(error).__name__}). Start again to go on."
        ) from None
    except OSError as error:
        raise HubError(f"{repository}: cannot be stored: {error.strerror or error}.") from None
