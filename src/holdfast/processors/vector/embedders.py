"""What makes vectors of texts: a small model that needs no network, an endpoint, or a model of your own.

Nothing here ever makes up a vector: a text that cannot be embedded is an error.
"""

import threading
from collections.abc import Sequence
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from holdfast.domain.errors import EmbeddingFailed, InvalidInput, ProcessorUnavailable
from holdfast.processors.vector.index import Matrix, Model

if TYPE_CHECKING:
    from openai import OpenAI
    from wordllama.inference import WordLlamaInference

_BATCH = 128
# Bad Request, Payload Too Large, Unprocessable; whatever else it answers is about us or about itself.
_TEXT_AT_FAULT = {400, 413, 422}

_loading = threading.Lock()


class Embedder(Protocol):
    """Makes vectors; safe to share between threads, and made without loading or connecting.

    Attributes:
        model: what it embeds with.
    """

    model: Model

    def embed(self, texts: Sequence[str]) -> Matrix:
        """A vector of length 1 for each text, none of which is blank, in their order.

        Raises:
            EmbeddingFailed: a text cannot be embedded.
            ProcessorUnavailable: the model cannot be reached now.
        """
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


def normalized(rows: Any, count: int, model: Model) -> Matrix:
    """What a model gave, as vectors of length 1.

    Raises:
        EmbeddingFailed: it is not one finite vector with a direction for each of ``count`` texts.
    """
    try:
        matrix = np.asarray(rows, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise EmbeddingFailed(f"{model.name} gave vectors of different lengths") from error
    if matrix.ndim != 2 or matrix.shape[0] != count or not matrix.shape[1]:
        raise EmbeddingFailed(f"{model.name} gave {matrix.shape} numbers for {count} texts")
    lengths: npt.NDArray[np.float32] = np.linalg.norm(matrix, axis=1, keepdims=True)
    # Not a number is not greater than 0 either.
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise EmbeddingFailed(f"{model.name} gave a vector without a direction")
    return np.asarray(matrix / lengths, dtype=np.float32)


class WordLlamaEmbedder:
    """Embeds with the vectors of words that come with the package ``wordllama``; needs no network."""

    def __init__(self) -> None:
        """Know the model; it is loaded with the first text, once for the whole process."""
        self.model = Model(name="wordllama/l2_supercat_256", version=metadata.version("wordllama"))

    def embed(self, texts: Sequence[str]) -> Matrix:
        with _loading:
            loaded = _word_llama()
        # Of no words it makes a division by zero, which is told below.
        with np.errstate(invalid="ignore"):
            rows = loaded.embed(list(texts), norm=True)
        return normalized(rows, len(texts), self.model)

    def close(self) -> None:
        """Others of this process may use the model."""


@cache
def _word_llama() -> "WordLlamaInference":
    # 0.6 s and 60 MB: for whoever embeds, and nobody else.
    import wordllama  # noqa: PLC0415

    # By default it would look into the user's cache, and then on the network.
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


class OpenAIEmbedder:
    """Embeds by an endpoint that speaks OpenAI's protocol (OpenAI, vLLM, Ollama, LM Studio, ...)."""

    def __init__(
        self,
        *,
        model: str,
        base_url: str,
        api_key: str | None = None,
        dimensions: int | None = None,
        timeout_seconds: float = 30.0,
        retries: int = 4,
    ) -> None:
        """Know the endpoint; it is asked with the first text.

        Args:
            model: the model's name there.
            base_url: where, up to and with ``/v1``; comes from the settings alone, never from what is analysed.
            api_key: what it lets us in by.
            dimensions: how many a vector shall have, where the model leaves a choice.
            timeout_seconds: how long one answer may take.
            retries: how often a request is repeated that failed in passing, after waits that double.

        Raises:
            InvalidInput: the URL is none of HTTP.
        """
        address = urlsplit(base_url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise InvalidInput(
                "embedding_url must begin with http:// or https:// and name a host", field="embedding_url"
            )
        version = f"{address.hostname}{address.path}" + (f":{dimensions}" if dimensions else "")
        self.model = Model(name=f"openai/{model}", version=version)
        self._name = model
        self._dimensions = dimensions
        self._options: dict[str, Any] = {
            "base_url": base_url,
            "api_key": api_key or "none",
            "timeout": timeout_seconds,
            "max_retries": retries,
        }
        self._lock = threading.Lock()

    @cached_property
    def _client(self) -> "OpenAI":
        from openai import DefaultHttpxClient, OpenAI  # noqa: PLC0415 an extra

        # The key and the texts go where the settings say, whatever the endpoint answers.
        client = DefaultHttpxClient(follow_redirects=False, timeout=self._options["timeout"])
        return OpenAI(**self._options, http_client=client)

    def embed(self, texts: Sequence[str]) -> Matrix:
        with self._lock:
            client = self._client
        rows: list[list[float]] = []
        for start in range(0, len(texts), _BATCH):
            rows += self._ask(client, texts[start : start + _BATCH])
        return normalized(rows, len(texts), self.model)

    def _ask(self, client: "OpenAI", texts: Sequence[str]) -> list[list[float]]:
        import openai  # noqa: PLC0415 an extra

        asked: dict[str, Any] = {"model": self._name, "input": list(texts), "encoding_format": "float"}
        if self._dimensions:
            asked["dimensions"] = self._dimensions
        try:
            data = client.embeddings.create(**asked).data
        except openai.APIStatusError as error:
            if error.status_code in _TEXT_AT_FAULT:
                raise EmbeddingFailed(f"The embedding endpoint refused a text: {error}") from error
            raise ProcessorUnavailable(f"The embedding endpoint refuses us: {error}") from error
        except openai.APIConnectionError as error:
            raise ProcessorUnavailable(f"The embedding endpoint does not answer: {error}") from error
        except (openai.OpenAIError, ValueError, TypeError, AttributeError) as error:
            raise ProcessorUnavailable(f"The embedding endpoint does not speak OpenAI's protocol: {error}") from error
        if not data:
            raise ProcessorUnavailable("The embedding endpoint does not speak OpenAI's protocol: it gave no vectors")
        if sorted(item.index for item in data) != list(range(len(texts))):
            raise EmbeddingFailed(f"{self.model.name} gave {len(data)} vectors for {len(texts)} texts")
        return [item.embedding for item in sorted(data, key=lambda item: item.index)]

    def close(self) -> None:
        with self._lock:
            client = self.__dict__.pop("_client", None)
        if client is not None:
            client.close()


class SentenceTransformersEmbedder:
    """Embeds with a model of the package ``sentence-transformers``, if that is installed."""

    def __init__(self, model: str) -> None:
        """Know the model's name or folder; it is loaded with the first text."""
        version = metadata.version("sentence-transformers")
        self.model = Model(name=f"sentence-transformers/{model}", version=version)
        self._name = model
        self._lock = threading.Lock()

    @cached_property
    def _loaded(self) -> Any:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 whoever wants it brings it

        return SentenceTransformer(self._name)

    def embed(self, texts: Sequence[str]) -> Matrix:
        with self._lock:
            rows = self._loaded.encode(list(texts), batch_size=_BATCH, show_progress_bar=False)
        return normalized(rows, len(texts), self.model)

    def close(self) -> None:
        with self._lock:
            self.__dict__.pop("_loaded", None)
