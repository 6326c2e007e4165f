"""Places, ports and flags of the nodes that the launcher starts."""

from __future__ import annotations

import socket
from pathlib import Path

from consensus.identity import Identity, save
from vecraft.cluster.nodes import Place, arguments, clean, places, taken_ports


def belonging(place: Place) -> None:
    save(place.directory / "storage/cluster", Identity(1, place.number, cluster_id="c"))


def test_each_node_has_three_ports_ten_after_those_before(tmp_path: Path) -> None:
    assert [place.ports for place in places(tmp_path, 3, 6333)] == [
        (6333, 6334, 6335),
        (6343, 6344, 6345),
        (6353, 6354, 6355),
    ]


def test_the_first_node_founds_and_the_others_join_it(tmp_path: Path) -> None:
    everyone = places(tmp_path, 3, 6333)
    assert [arguments(place, everyone) for place in everyone] == [
        ("--uri", "http://127.0.0.1:6335"),
        ("--uri", "http://127.0.0.1:6345", "--bootstrap", "http://127.0.0.1:6335"),
        ("--uri", "http://127.0.0.1:6355", "--bootstrap", "http://127.0.0.1:6335"),
    ]


def test_a_first_node_that_lost_its_storage_joins_the_others_instead_of_founding_anew(tmp_path: Path) -> None:
    everyone = places(tmp_path, 3, 6333)
    belonging(everyone[1])
    belonging(everyone[2])
    assert arguments(everyone[0], everyone)[2:] == ("--bootstrap", "http://127.0.0.1:6345")
    assert arguments(everyone[1], everyone)[2:] == ()


def test_all_nodes_that_a_folder_holds_are_started(tmp_path: Path) -> None:
    for place in places(tmp_path, 5, 6333):
        place.directory.mkdir()
        place.log_path.touch()
    assert len(places(tmp_path, 3, 6333)) == 5


def test_cleaning_removes_nodes_and_logs_and_nothing_else(tmp_path: Path) -> None:
    for place in places(tmp_path, 2, 6333):
        belonging(place)
        place.log_path.touch()
    (tmp_path / "mine").touch()
    clean(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_ports_that_somebody_has_are_found_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert taken_ports([Place(number=1, home=tmp_path, first_port=port)])[0] == port
