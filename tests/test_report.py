"""The report: one file that needs no other, and works in a browser."""

import json
import re
import types

import chromium
import numpy as np
import pytest

from diffcomp.evaluation import report
from diffcomp.evaluation.candidates import Candidate
from diffcomp.evaluation.rows import Row

NAME = "tiny"  # of the model in `evaluated`


def data_of(text):
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def candidate(name, qualities, is_model=False):
    return Candidate(name, "", qualities, None, None, ".x", is_model)


def rows_of(sizes):
    return {("a", *key): row("a", *key, size) for key, size in sizes.items()}


def row(image, codec, quality, size):
    return Row(
        image, codec, "", float(quality), 50, 40, size, 0.1, 0.1, 0.1, "00", {"psnr": np.inf}
    )


def test_the_file_needs_no_other(evaluated):
    text = (evaluated / "report" / "report.html").read_text()
    addresses = set(re.findall(r"[a-z]+://[^\s\"'<]+", text.split('id="data"')[0]))
    addresses |= set(re.findall(r"(?:src|href)=\"([^\"]+)", text))
    assert addresses <= {"data:,"}
    assert "@@" not in text
    assert re.findall(r"\w+://[^\s\"']+", text.split("</script>")[1]) == [
        "http://www.w3.org/2000/svg"  # a name, not an address
    ]


def test_pictures_are_named_with_their_bytes(evaluated):
    data = data_of((evaluated / "report" / "report.html").read_text())
    assert [p["name"] for p in data["pictures"]] == ["a", "b"]
    assert data["pictures_left_out"] == 0
    picture = data["pictures"][0]
    assert (picture["width"], picture["height"]) == (101, 75)
    assert len(picture["decoded"]) == 4 + 4 + 5 + 4
    for entry in picture["decoded"]:
        assert entry["uri"].startswith("data:image/webp;base64,") and entry["row"]["bytes"] > 0


def test_text_cannot_end_the_data_early():
    data = {"protocol": "<b>", "note": "</script><script>alert(1)</script>"}
    text = report.page(data)
    assert data_of(text)["note"] == data["note"]
    assert "<title>Evaluation, protocol &lt;b&gt;</title>" in text


def test_middle_then_ends_each_with_what_is_nearest_in_bytes():
    candidates = [candidate("m", (1, 2, 3), True), candidate("jpeg", (5, 6, 7))]
    sizes = {("m", "1"): 10, ("m", "2"): 20, ("m", "3"): 30}
    rows = rows_of(sizes | {("jpeg", "5"): 22, ("jpeg", "6"): 29, ("jpeg", "7"): 90})
    order = [(c.name, q) for c, q in report.rungs_to_show("a", candidates, rows)]
    assert order == [("m", 2), ("jpeg", 5), ("m", 1), ("m", 3), ("jpeg", 6), ("jpeg", 7)]


def test_a_missing_rung_is_not_shown():
    candidates = [candidate("m", (1, 2), True), candidate("jpeg", (5,))]
    rows = rows_of({("jpeg", "5"): 22})
    assert [c.name for c, _ in report.rungs_to_show("a", candidates, rows)] == ["jpeg"]


def test_the_limits_leave_pictures_out(evaluated, photo, tmp_path):
    calls = []

    def decode(data):
        calls.append(data)
        return photo

    spy = Candidate("spy", "", (1, 2), None, decode, ".x", False)
    rows = {
        (image, "spy", quality): row(image, "spy", quality, 9) for image in "ab" for quality in "12"
    }
    for image, _, quality in rows:
        path = report.stream_path(tmp_path, spy, float(quality), image)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    images = [report.NamedImage(name, photo) for name in "ab"]
    picture = len(report._data_uri(photo))
    for count, megabytes, expected, left_out in (
        (2, 10, [2, 2], 0),
        (1, 10, [2], 2),
        (2, 3.5 * picture / 1e6, [1, 1], 2),
        (0, 10, [], 4),
    ):
        config = types.SimpleNamespace(report_images=count, report_megabytes=megabytes)
        pictures, dropped = report._pictures(images, [spy], rows, config, tmp_path)
        assert [len(entry["decoded"]) for entry in pictures] == expected
        for entry in (entry for picture in pictures for entry in picture["decoded"]):
            assert entry["quality"] in "12" and entry["row"]["bytes"] == 9
            assert "psnr" not in entry["row"]  # infinite, which JSON has not
        assert dropped == left_out


def test_a_file_that_was_deleted_is_written_anew_if_it_is_the_same(photo, tmp_path):
    def encode(image, quality):
        return bytes(9 if quality == 1 else 10)

    again = Candidate("again", "", (1, 2), encode, lambda data: photo, ".x", False)
    rows = {("a", "again", quality): row("a", "again", quality, 9) for quality in "12"}
    config = types.SimpleNamespace(report_images=1, report_megabytes=10)
    images = [report.NamedImage("a", photo)]
    (picture,), dropped = report._pictures(images, [again], rows, config, tmp_path)
    assert [entry["quality"] for entry in picture["decoded"]] == ["1"]
    assert dropped == 1


@pytest.fixture(scope="module")
def page(evaluated, tmp_path_factory):
    if chromium.PROGRAM is None:
        pytest.skip(
            "the report was not looked at in a browser: install Chromium (apt-get install"
            f" chromium), or have one of {', '.join(chromium.PROGRAMS)} on the PATH"
        )
    with chromium.page(tmp_path_factory.mktemp("profile")) as page:
        page.open(evaluated / "report" / "report.html")
        yield page


def box(page, selector):
    page.value(f"document.querySelector('{selector}').scrollIntoView({{block: 'center'}})")
    names = ("x", "y", "width", "height")
    rect = f"document.querySelector('{selector}').getBoundingClientRect()"
    return dict(
        zip(names, page.value(f"(r => [r.x, r.y, r.width, r.height])({rect})"), strict=True)
    )


def choose(page, name, value):
    page.value(
        f"(s => {{ s.value = {json.dumps(value)}; s.dispatchEvent(new Event('change')); }})"
        f"(document.getElementById('{name}'))"
    )
    page.value(
        "Promise.all([...document.querySelectorAll('#stage img')].map(i => i.decode()))"
        ".then(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))))"
        ".then(() => true)"
    )


def drag(page, rect, start, end):
    y = rect["y"] + rect["height"] / 2
    for kind, share in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
        buttons = 0 if kind == "mouseReleased" else 1
        page.mouse(kind, rect["x"] + share * rect["width"], y, buttons)


def test_the_slider_uncovers_the_other_picture(page, photo):
    choose(page, "zoom", "4")
    choose(page, "right", "8")  # the coarsest JPEG, after the model's eight
    assert page.value("document.getElementById('right-caption').textContent").startswith("jpeg q=5")
    rect = box(page, "#stage")
    drag(page, rect, 0.5, 0.9)
    assert page.value("Number(document.getElementById('slider').value)") == pytest.approx(90, abs=1)
    mostly_left = page.screenshot(rect).astype(int)
    drag(page, rect, 0.9, 0.1)
    mostly_right = page.screenshot(rect).astype(int)
    width = mostly_left.shape[1]
    inner = np.s_[:, width // 4 : 3 * width // 4]
    assert np.abs(mostly_left[inner] - mostly_right[inner]).mean() > 4
    outer = np.s_[:, : width // 20]
    np.testing.assert_array_equal(mostly_left[outer], mostly_right[outer])
    # Left is the original, four times as large.
    original = photo[:75, :101].repeat(4, axis=0).repeat(4, axis=1)
    left = mostly_left[: original.shape[0], : width // 2]
    assert np.abs(left - original[: left.shape[0], : left.shape[1]]).mean() < 4


def test_baselines_stand_at_matched_bytes(page):
    choose(page, "right", "2")
    choose(page, "left", "webp")
    captions = [
        page.value(f"document.getElementById('{side}-caption').textContent")
        for side in ("left", "right")
    ]
    sizes = [int(re.search(r"([\d,]+) bytes", text)[1].replace(",", "")) for text in captions]
    ladder = page.value(
        "data.pictures[0].decoded.filter(d => d.codec === 'webp').map(d => d.row.bytes)"
    )
    assert sizes[0] == min(ladder, key=lambda size: abs(size - sizes[1]))
    assert captions[0].startswith("webp q=") and "%)" in captions[0] and "bpp" in captions[0]


def test_a_point_shows_its_figures(page):
    page.value("document.querySelector('[data-metric=psnr]').click()")
    box(page, "#plot")
    points = page.value(
        "[...document.querySelectorAll('#plot .hit')].map("
        "c => (r => [r.x + r.width / 2, r.y + r.height / 2])(c.getBoundingClientRect()))"
    )
    page.mouse("mouseMoved", *points[-1])  # the models are drawn last
    tip = page.value("document.getElementById('tip').textContent").splitlines()
    assert tip[0].split(" q=")[0].startswith(NAME)
    assert tip[1].endswith(" bpp") and tip[2].startswith("PSNR (dB): ")
    assert page.value("document.getElementById('tip').hidden") is False


def test_curves_axes_and_legend(page):
    page.value("document.querySelector('[data-metric=lpips_alex]').click()")
    texts = page.value("[...document.querySelectorAll('#plot text')].map(t => t.textContent)")
    assert "rate (bits per pixel)" in texts and "LPIPS-Alex, lower is better" in texts
    legend = page.value("[...document.querySelectorAll('#legend button')].map(b => b.innerText)")
    names = {text.split("\n")[0] for text in legend}
    assert {NAME, f"{NAME} r=0", "jpeg", "webp", "HiFiC (quoted)"} <= names
    assert any(text.startswith("jpeg\nJPEG by pillow") and "4:2:0" in text for text in legend)
    count = "document.querySelectorAll('#plot path').length"
    before = page.value(count)
    page.value("document.querySelector('#legend button').click()")
    assert page.value(count) == before - 1
    page.value("document.querySelector('#legend button').click()")
    dashed = "document.querySelectorAll('#plot path[stroke-dasharray]').length"
    assert page.value(dashed) == before - 4


def test_the_table_sorts_by_a_column(page):
    heading = (
        "[...document.querySelectorAll('#summary th')].find(h => h.textContent === 'PSNR (dB)')"
    )
    column = page.value(f"[...document.querySelectorAll('#summary th')].indexOf({heading})")
    cells = (
        f"[...document.querySelectorAll('#summary tbody tr')].map(r => "
        f"Number(r.children[{column}].textContent))"
    )
    page.value(f"{heading}.click()")
    values = page.value(cells)
    assert len(values) == 17 and values == sorted(values)
    page.value(f"{heading}.click()")
    assert page.value(cells) == sorted(values, reverse=True)


def test_nothing_fails_and_nothing_is_fetched(page):
    assert page.faults == []
    assert {url.split(":")[0] for url in page.requests} <= {"file", "data"}
    assert len([url for url in page.requests if url.startswith("file:")]) == 1


def test_the_worst_pictures_come_first_and_rates_say_what_they_rest_on(page):
    sections = page.value("[...document.querySelectorAll('main h2')].map(h => h.textContent)")
    assert sections[0] == "Worst pictures"
    page.value("document.querySelector('[data-metric=psnr]').click()")
    worst = page.value("[...document.querySelectorAll('#worst li')].map(l => l.textContent)")
    rates = page.value("[...document.querySelectorAll('#rates tbody tr')].map(r => r.textContent)")
    named = page.value("data.bd_rates.filter(r => r.codec === 'webp').map(r => r.worst)")
    assert all(NAME in text and "against jpeg" in text for text in worst)
    assert len(rates) == 3 * 3 and any("takes 5" in text for text in rates)
    dots = page.value("document.querySelectorAll('#scatter circle').length")
    alone = page.value(
        "data.bd_rates.filter(r => r.metric === 'psnr').map(r => r.differences.length)"
    )
    assert dots == sum(alone) >= len(named[0]) == 2
