"""Pictures of graphs and answers, and summaries for notebooks: they show what is there, and escape it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import factorgraph as fg
from factorgraph import plots
from factorgraph.errors import FactorGraphError

pytest.importorskip("matplotlib")


def weather() -> fg.FactorGraph:
    g = fg.FactorGraph()
    sky = g.variables("sky", shape=(4,), states=["dry", "<rain>"])
    mood = g.variables("mood", states=3, latent=True)
    g.add(fg.Table([[0.0, 2.0], [2.0, 0.5], [0.5, 1.0], [0.0, 3.0]]), sky)
    g.add(fg.Potts(1.25), sky[:-1], sky[1:])
    g.add(fg.Table(np.arange(6.0).reshape(2, 3)), sky[3], mood)
    return g


def axes():
    from matplotlib.figure import Figure

    return Figure().add_subplot()


def texts(on) -> list[str]:
    return [t.get_text() for t in on.texts]


def test_a_graph_shows_every_variable_factor_and_edge() -> None:
    g, on = weather(), axes()
    plots.draw_graph(on, g, solution=fg.solve(g), title="weather")
    assert on.get_title() == "weather"
    assert sorted(texts(on)) == sorted(
        ["sky 0", "sky 1", "sky 2", "sky 3", "mood", *["Potts"] * 3, *["Table"] * 5]
        + [*["= dry"] * 4, "= 0"]
    )  # fmt: skip
    assert len(on.lines) == 4 + 6 + 2
    on = axes()
    plots.draw_graph(on, g, energies=g.energies())
    assert texts(on).count("1.25") == 3 and "2 0.5" in texts(on) and "0 1 2\n3 4 5" in texts(on)


def test_a_graph_too_large_and_a_lattice_are_refused() -> None:
    g = fg.FactorGraph()
    g.variables("x", shape=(401,))
    with pytest.raises(FactorGraphError, match="draw_graph: expected at most 400 variables and factors; got 401 and 0"):
        plots.draw_graph(axes(), g)
    g = fg.FactorGraph()
    g.lattice("line", arcs=([0], [1]), states=2)
    with pytest.raises(FactorGraphError, match="to_dot: expected variables and factors; got a lattice. draw_paths"):
        plots.to_dot(g)


def test_dot_quotes_names_and_has_an_edge_for_every_place_of_a_scope() -> None:
    g = fg.FactorGraph()
    a = g.variables('a "b"\\', shape=(2,))
    g.add(fg.Table(np.zeros((2, 2))), a[0], a[1])
    text = plots.to_dot(g)
    assert r'v1 [label="a \"b\"\\ 1", shape=circle];' in text
    assert re.findall(r"(f\d) -- (v\d)", text) == [("f0", "v0"), ("f0", "v1")]


def test_a_chain_shows_its_marginals_and_labels() -> None:
    g, on = weather(), axes()
    m, s = fg.marginals(g), fg.solve(g)
    plots.draw_chain(on, m, "sky", s, truth=[0, 1, 0, 0])
    np.testing.assert_array_equal(on.images[0].get_array(), m.variables["sky"].T)
    np.testing.assert_array_equal(on.lines[0].get_ydata(), s.labels["sky"])
    np.testing.assert_array_equal(on.lines[1].get_ydata(), [0, 1, 0, 0])
    assert [t.get_text() for t in on.get_yticklabels()] == ["dry", "<rain>"]
    with pytest.raises(FactorGraphError, match=r"draw_chain: expected variables in a row.*'mood' of shape \(\)"):
        plots.draw_chain(on, m, "mood")


def test_a_labelling_is_fainter_where_it_is_less_sure() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(1, 3), states=2)
    g.add(fg.Table([[[0.0, 50.0], [0.0, 1.0], [0.0, 0.01]]]), x)
    s = fg.solve(g)
    for sure in (fg.min_marginals(g), fg.marginals(g)):
        on = axes()
        plots.draw_labelling(on, s, "x", sure)
        far = np.abs(on.images[0].get_array()[0] - 1.0).sum(-1)  # from the white ground
        assert far[0] > far[1] > far[2] >= 0
    on = axes()
    plots.draw_labelling(on, s, "x")
    assert len(np.unique(on.images[0].get_array().reshape(-1, 3), axis=0)) == 1
    with pytest.raises(FactorGraphError, match=r"draw_labelling: expected a grid .* got 'sky' of shape \(4,\)"):
        plots.draw_labelling(axes(), fg.solve(weather()), "sky")


def test_a_lattice_shows_its_best_path_and_what_it_spells() -> None:
    g, on = fg.FactorGraph(), axes()
    line = g.lattice("line", arcs=([0, 0, 1], [1, 2, 2]), states=4)
    g.add(fg.Table([[9, 0, 9, 9], [9, 9, 9, 5], [9, 9, 1, 9]]), line)
    plots.draw_paths(on, fg.solve(g), "line", fg.marginals(g))
    assert texts(on) == ["1", "2"] and len(on.lines) == 3
    named = axes()
    plots.draw_paths(named, fg.solve(g), "line", names="abcd")
    assert texts(named) == ["b", "c"]
    assert [line.get_linewidth() for line in on.lines] == [1.0, 2.4, 2.4]
    with pytest.raises(FactorGraphError, match="draw_paths: expected the name of a lattice; got 'sky'"):
        plots.draw_paths(on, fg.solve(weather()), "sky")


def test_a_history_shows_the_bound_where_it_is_known() -> None:
    on = axes()
    names = ("loss", "objective", "gap", "validation")
    kind = np.dtype([("epoch", int), *((name, float) for name in names)])
    history = np.array([(1, 3.0, 4.0, 2.0, 0.5), (2, 2.0, 3.0, 0.5, 0.6)], kind)
    plots.draw_history(on, history)
    assert [list(line.get_ydata()) for line in on.lines] == [[3, 2], [4, 3], [2, 2.5]]
    history["gap"] = np.nan
    on = axes()
    plots.draw_history(on, history)
    assert len(on.lines) == 2
    with pytest.raises(FactorGraphError, match="draw_history: expected at least one epoch"):
        plots.draw_history(on, history[:0])


def test_a_path_gives_a_picture_and_anything_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plots.draw_graph(tmp_path / "graph.png", weather())
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(FactorGraphError, match="draw_graph: expected the path of a PNG, or axes of matplotlib, first"):
        plots.draw_graph(weather(), weather())
    with pytest.raises(FactorGraphError, match="draw_graph: expected the folder .* to exist"):
        plots.draw_graph(tmp_path / "no" / "graph.png", weather())
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(FactorGraphError, match="draw_graph: .*pip install matplotlib"):
        plots.draw_graph(tmp_path / "graph.png", weather())


def cells(html: str) -> list[str]:
    assert html.count("<table>") == html.count("</table>") == html.count("<caption>")
    return re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", html)


def test_summaries_for_notebooks_are_escaped_tables() -> None:
    g = weather()
    found = cells(g._repr_html_())
    assert found[4:8] == ["sky", "(4,)", "2", ""] and "latent" in found
    assert found[-8:] == ["Potts", "3", "1", "2 × 2", "Table", "1", "1", "2 × 3"]
    assert "… chains" in cells(g.compile()._repr_html_())
    s = fg.solve(g, evidence={"sky": ["<rain>", None, None, None]})
    html = s._repr_html_()
    assert "&lt;rain&gt;" in html and "<rain>" not in html and str(s.status) in html
    assert "by dynamic" in html and f"{s.energy:.6g}" in cells(html)
    assert "log Z = " in fg.marginals(g)._repr_html_()


def test_long_tables_say_how_much_they_leave_out() -> None:
    g = fg.FactorGraph()
    for i in range(20):
        g.variables(f"x{i}")
    assert "… and 8 more" in cells(g._repr_html_())


def test_a_run_shows_its_last_epochs_and_parameters() -> None:
    def build(g: fg.FactorGraph, x: np.ndarray) -> None:
        g.add(fg.Linear(x, "w"), g.variables("y", states=2))

    run = fg.train(fg.Model(build), np.eye(2), [0, 1], epochs=15)
    found = cells(run._repr_html_())
    assert found[0] == "epoch" and "15" in found and "3" not in found and "… and 3 more" in found
    assert "w" in found and "(2, 2)" in found
