"""What every object store promises (see `werk.core.ports.object_store`), one test a promise."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from werk.core.errors import InputError
from werk.core.ports.object_store import ObjectStore


class ObjectStoreSuite:
    """Subclass with a fixture `store` that gives an empty store."""

    def test_1_a_put_is_read_back_and_replaced(self, store: ObjectStore) -> None:
        assert sorted(store.put({"a/b": b"1", "a/c": b""})) == ["a/b", "a/c"]
        store.put({"a/b": b"2"})
        assert store.get(["a/b", "a/c"]) == {"a/b": b"2", "a/c": b""}

    def test_2_if_absent_has_one_winner(self, store: ObjectStore) -> None:
        def attempt(n: int) -> list[str]:
            return store.put({"k": bytes([n])}, if_absent=True)

        with ThreadPoolExecutor(4) as pool:
            wrote = [n for n, keys in enumerate(pool.map(attempt, range(8))) if keys]
        assert len(wrote) == 1
        assert store.get(["k"])["k"] == bytes(wrote)

    def test_3_a_missing_key_is_named(self, store: ObjectStore) -> None:
        store.put({"here": b"x"})
        with pytest.raises(InputError, match="nowhere"):
            store.get(["here", "nowhere"])
        assert store.exists(["here", "nowhere"]) == {"here"}

    def test_4_keys_are_listed_in_order(self, store: ObjectStore) -> None:
        store.put({"b/2": b"xx", "a/1": b"x", "b/1": b""})
        assert [(info.key, info.size_bytes) for info in store.list("b/")] == [("b/1", 0), ("b/2", 2)]
        assert [info.key for info in store.list()] == ["a/1", "b/1", "b/2"]

    def test_5_deleting_twice_is_no_error(self, store: ObjectStore) -> None:
        store.put({"a": b"x"})
        store.delete(["a"])
        store.delete(["a"])
        assert store.exists(["a"]) == set()

    @pytest.mark.parametrize("key", ["", "/a", "a/../b", "a//b", "a b", "ä", "..", "a/"])
    def test_6_a_key_outside_the_alphabet_is_refused(self, store: ObjectStore, key: str) -> None:
        with pytest.raises(InputError):
            store.put({key: b"x"})
