"""Labels beside what they name."""

from __future__ import annotations

from workers.pictures.placement import free_place, overlap

SHAPE = (400, 300)


def test_the_nearest_free_place_is_taken() -> None:
    """Above; where that is taken, below."""
    outline = (100, 100, 140, 140)
    above = free_place(outline, (60, 20), SHAPE, [], gap=8, margin=4)
    assert above == (100, 72, 160, 92)
    below = free_place(outline, (60, 20), SHAPE, [above], gap=8, margin=4)
    assert below == (100, 148, 160, 168)


def test_a_place_is_inside_the_picture() -> None:
    """At the edges it moves in, and never onto the outline while there is room."""
    for x in (-5, 150, 290):
        for y in (-5, 200, 390):
            outline = (x, y, x + 20, y + 20)
            place = free_place(outline, (80, 20), SHAPE, [], gap=8, margin=4)
            assert place[0] >= 4
            assert place[1] >= 4
            assert place[2] <= 296
            assert place[3] <= 396
            assert overlap(place, outline) == 0


def test_without_room_the_least_is_covered() -> None:
    """A picture full of outlines still gets its label."""
    everything = (0, 0, 300, 400)
    place = free_place((10, 10, 290, 390), (80, 20), SHAPE, [everything], gap=8, margin=4)
    assert overlap(place, everything) == 80 * 20
