"""Pillow's results, opened with libvips, ffmpeg, pikepdf or by their own headers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import pikepdf
import pypdfium2
import pytest
import pyvips
from PIL import Image, ImageChops
from PIL.TiffImagePlugin import AppendingTiffWriter

from engines import bare
from filemill.engines.pillow import ENGINE, OWN, READS, WRITES
from filemill.errors import FileInvalid, LimitExceeded
from filemill.model import Facts
from samples import images

ROUTES = {(route.source, route.target) for route in ENGINE.routes}
RED = (255, 0, 0)
PICTURE = (images.WIDTH, images.HEIGHT)
SIZES = {"ico": (64, 64), "icns": (128, 128)}


def pixels(path: Path) -> tuple[tuple[int, int], bytes]:
    """Size and RGB bytes as libvips or ffmpeg reads them."""
    match path.suffix:
        case ".jpg" | ".png" | ".webp" | ".gif" | ".avif" | ".tiff":
            image = pyvips.Image.new_from_file(str(path), revalidate=True)
            image = image.colourspace("srgb") if image.bands < 3 else image
            return (image.width, image.height), image[0:3].cast("uchar").write_to_memory()
        case ".icns":  # the 1024 pixel icon, a PNG
            data = path.read_bytes()
            image = pyvips.Image.pngload_buffer(data[data.rindex(b"ic10") + 8 :])
            return (image.width, image.height), image[0:3].write_to_memory()
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg, "-v", "error", "-i", str(path), "-frames:v", "1"]
    command += ["-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    _, size, _, data = done.stdout.split(b"\n", 3)
    width, height = map(int, size.split())
    return (width, height), data


def at(path: Path, x: float, y: float) -> tuple[int, ...]:
    """The colour at a place given in fractions of the picture."""
    (width, height), data = pixels(path)
    start = (int(y * height) * width + int(x * width)) * 3
    return tuple(data[start : start + 3])


def near(colour: tuple[int, ...], expected: tuple[int, ...], by: int = 16) -> bool:
    return all(abs(a - b) <= by for a, b in zip(colour, expected, strict=True))


def convert(path: Path, source: str, target: str, room: Path, **options: object) -> Path:
    return bare.convert(ENGINE, path, source, target, room, **options)


def test_all_pairs_are_declared() -> None:
    common = {"jpg", "png", "webp", "gif", "avif", "tiff"}
    missing = {
        (source, target)
        for source in READS
        for target in WRITES
        if not {source, target} <= common and (source, target) not in ROUTES
    }
    assert not missing


@pytest.mark.parametrize(("source", "target"), sorted(ROUTES - {(s, "pdf") for s in READS}))
def test_every_route(source: str, target: str, tmp_path: Path) -> None:
    result = convert(images.make(source, tmp_path / "sample"), source, target, tmp_path)
    facts = bare.facts(result)
    size = SIZES.get(source, PICTURE)
    if source == "icns":
        size = (1024, 1024)
    if target == "ico":
        size = (256, 256) if source == "icns" else (64, 64) if source == "ico" else (128, 128)
    if target == "icns":
        size = (1024, 1024)
    assert (facts.width, facts.height) == size
    if target in {"heic", "jxl", "jp2"}:
        assert _signature(result, target)
    if target == "dds":  # ffmpeg misreads its uncompressed RGB
        assert result.read_bytes()[:4] == b"DDS "
        return
    assert near(at(result, 0.1, 0.3), RED, 24)
    if target != "ico":
        assert pixels(result)[0] == size


def _signature(path: Path, target: str) -> bool:
    head = path.read_bytes()[:32]
    return {
        "heic": head[4:12] == b"ftypheic",
        "jxl": head[:2] == b"\xff\x0a" or head[4:8] == b"JXL ",
        "jp2": head[4:8] == b"jP  ",
    }[target]


@pytest.mark.parametrize("source", READS)
def test_a_page_of_a_pdf(source: str, tmp_path: Path) -> None:
    result = convert(images.make(source, tmp_path / "sample"), source, "pdf", tmp_path, dpi=96)
    width, height = {"ico": (64, 64), "icns": (1024, 1024)}.get(source, PICTURE)
    with pikepdf.open(result) as document:
        assert len(document.pages) == images.FRAMES[source] if source == "tiff" else 1
        for page in document.pages:
            assert [float(side) for side in page.mediabox] == [0, 0, width * 0.75, height * 0.75]
            (picture,) = page.get_images().values()
            assert (picture.Width, picture.Height) == (width, height)


def test_a_pdf_page_keeps_the_resolution_of_a_scan(tmp_path: Path) -> None:
    Image.new("1", (600, 300), 1).save(tmp_path / "a.tiff", dpi=(300, 300))
    result = convert(tmp_path / "a.tiff", "tiff", "pdf", tmp_path)
    with pikepdf.open(result) as document:
        assert [float(side) for side in document.pages[0].mediabox] == [0, 0, 144, 72]
        (picture,) = document.pages[0].get_images().values()
        assert picture.Filter == "/CCITTFaxDecode" or "/CCITTFaxDecode" in list(picture.Filter)


def test_pages_of_a_pdf_are_what_each_page_was(tmp_path: Path) -> None:
    stripes = Image.new("1", (37, 12), 0)
    stripes.paste(1, (10, 0, 20, 12))
    pages = [
        (stripes, 72, "/CCITTFaxDecode"),
        (Image.new("L", (40, 20), 128), 144, "/DCTDecode"),
        (Image.new("RGB", (30, 10), (255, 0, 0)), 36, "/DCTDecode"),
    ]
    with AppendingTiffWriter(str(tmp_path / "a.tiff"), new=True) as file:
        for page, dpi, _ in pages:
            page.save(file, "TIFF", dpi=(dpi, dpi))
            file.newFrame()
    result = convert(tmp_path / "a.tiff", "tiff", "pdf", tmp_path)
    with pikepdf.open(result) as document, pypdfium2.PdfDocument(result) as drawn:
        assert not document.check_pdf_syntax()
        for number, (page, dpi, coding) in enumerate(pages):
            (picture,) = document.pages[number].get_images().values()
            assert picture.Filter == coding
            size = [side * 72 / dpi for side in page.size]
            assert list(drawn[number].get_size()) == pytest.approx(size)
            back = drawn[number].render(scale=dpi / 72).to_pil().convert("L").resize(page.size)
            difference = ImageChops.difference(back, page.convert("L"))
            assert difference.getextrema()[1] < 9


def test_many_pages_take_as_long_each_as_few(tmp_path: Path) -> None:
    with AppendingTiffWriter(str(tmp_path / "a.tiff"), new=True) as file:
        for _ in range(400):
            Image.new("L", (40, 60), 200).save(file, "TIFF")
            file.newFrame()
    result = convert(tmp_path / "a.tiff", "tiff", "pdf", tmp_path)
    assert bare.facts(result).pages == 400
    assert result.stat().st_size < 400 * 1500


def test_every_page_of_a_tiff_is_kept(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (20 + 10 * n, 10), (n * 80, 0, 0)) for n in range(3)]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    result = convert(tmp_path / "a.tiff", "tiff", "tiff", tmp_path)
    for number in range(3):
        page = pyvips.Image.tiffload(str(result), page=number, revalidate=True)
        assert (page.width, page.height) == (20 + 10 * number, 10)
        assert page(5, 5)[0] == number * 80


@pytest.mark.parametrize("source", ["jxl", "heic", "jp2", "tga", "qoi", "dds", "ico"])
@pytest.mark.parametrize("target", ["jpg", "bmp", "ppm", "pdf"])
def test_transparency_becomes_white(source: str, target: str, tmp_path: Path) -> None:
    sample = tmp_path / "sample"
    picture = images.transparent()
    if source == "jxl":
        import pillow_jxl  # noqa: F401

        picture.save(sample, "JXL", lossless=True)
    elif source == "heic":
        picture.save(sample, "HEIF", quality=95)
    elif source == "ico":
        picture.resize((64, 64)).save(sample, "ICO", sizes=[(64, 64)])
    else:
        picture.save(sample, {"jp2": "JPEG2000"}.get(source, source.upper()))
    result = convert(sample, source, target, tmp_path)
    if target == "pdf":
        with pikepdf.open(result) as document:
            (picture,) = document.pages[0].get_images().values()
            inner = pikepdf.PdfImage(picture).as_pil_image()
            assert near(
                inner.getpixel((int(inner.width * 0.9), int(inner.height * 0.9))), (255, 255, 255)
            )
        return
    assert near(at(result, 0.9, 0.9), (255, 255, 255))


@pytest.mark.parametrize("target", ["heic", "jxl", "jp2", "qoi", "bmp", "pdf", "ico"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_pictures_are_turned_upright(orientation: int, target: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    images.picture().save(tmp_path / "a.jpg", quality=95, exif=exif)
    result = convert(tmp_path / "a.jpg", "jpg", target, tmp_path)
    corner = {3: (0.75, 0.75), 6: (0.75, 0.25)}[orientation]
    size = PICTURE if orientation == 3 else PICTURE[::-1]
    if target == "pdf":
        with pikepdf.open(result) as document:
            (picture,) = document.pages[0].get_images().values()
            assert (picture.Width, picture.Height) == size
        return
    if target != "ico":
        assert pixels(result)[0] == size
        assert near(at(result, *corner), RED, 24)
    back = convert(result, target, "png" if target != "png" else "bmp", tmp_path)
    if target != "ico":
        assert pixels(back)[0] == size
        assert near(at(back, *corner), RED, 24)


def test_a_turned_heic(tmp_path: Path) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = 6
    images.picture().save(tmp_path / "a.heic", exif=exif.tobytes(), quality=95)
    result = convert(tmp_path / "a.heic", "heic", "jpg", tmp_path)
    assert pixels(result)[0] == PICTURE[::-1]
    assert near(at(result, 0.75, 0.25), RED, 24)


@pytest.mark.parametrize("target", ["heic", "jxl", "tiff", "pdf", "bmp"])
def test_a_turned_tiff(target: str, tmp_path: Path) -> None:
    images.picture().save(tmp_path / "a.tiff", tiffinfo={0x0112: 6}, dpi=(300, 300))
    assert bare.facts(tmp_path / "a.tiff").width == PICTURE[1]
    result = convert(tmp_path / "a.tiff", "tiff", target, tmp_path)
    if target != "pdf":
        assert pixels(result)[0] == PICTURE[::-1]
        assert near(at(result, 0.75, 0.25), RED, 24)
    if target in ("tiff", "bmp"):
        with Image.open(result) as image:
            assert round(image.info["dpi"][0]) == 300


@pytest.mark.parametrize("source", ["heic", "jxl"])
def test_a_photograph_as_a_tiff_keeps_when_and_where(source: str, tmp_path: Path) -> None:
    """What its camera says of it is in directories inside the EXIF."""
    import pillow_heif
    import pillow_jxl  # noqa: F401 (registers itself)

    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x010F] = "filemill"
    exif[0x8769] = {0x9003: "2024:01:02 03:04:05"}
    exif[0x8825] = {1: "N", 2: (52.0, 30.0, 0.0)}
    images.picture().save(tmp_path / f"a.{source}", exif=exif.tobytes())
    with Image.open(convert(tmp_path / f"a.{source}", source, "tiff", tmp_path)) as image:
        found = image.getexif()
        assert found[0x010F] == "filemill"
        assert found.get_ifd(0x8769)[0x9003] == "2024:01:02 03:04:05"
        assert found.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize("strip", [False, True])
@pytest.mark.parametrize("target", ["jpg", "png", "webp"])
def test_metadata_is_kept_or_dropped(target: str, strip: bool, tmp_path: Path) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif[0x010F] = "filemill"
    images.picture().save(tmp_path / "a.heic", icc_profile=images.profile(), exif=exif)
    result = convert(tmp_path / "a.heic", "heic", target, tmp_path, strip=strip)
    image = pyvips.Image.new_from_file(str(result), revalidate=True)
    assert (image.get_typeof("icc-profile-data") != 0) is not strip
    assert (image.get_typeof("exif-ifd0-Make") != 0) is not strip


def test_a_jpeg_in_jxl_comes_back_bit_for_bit(tmp_path: Path) -> None:
    from pillow_jxl import Decoder

    sample = images.make("jpg", tmp_path / "sample")
    result = convert(sample, "jpg", "jxl", tmp_path)
    is_jpeg, _, data, *_ = Decoder(num_threads=1)(result.read_bytes())
    assert is_jpeg
    assert data == sample.read_bytes()
    assert not Decoder(num_threads=1)(
        convert(sample, "jpg", "jxl", tmp_path, quality=50).read_bytes()
    )[0]


@pytest.mark.parametrize("target", ["jxl", "jp2"])
def test_lossless_keeps_every_pixel(target: str, tmp_path: Path) -> None:
    sample = images.make("png", tmp_path / "sample")
    result = convert(sample, "png", target, tmp_path, lossless=True)
    back = convert(result, target, "png", tmp_path)
    assert pixels(back) == pixels(sample.rename(tmp_path / "sample.png"))


def test_the_sizes_of_an_icon(tmp_path: Path) -> None:
    images.picture().resize((600, 400)).save(tmp_path / "a.png")
    result = convert(tmp_path / "a.png", "png", "ico", tmp_path, sizes="16,32,256")
    data = result.read_bytes()
    count = int.from_bytes(data[4:6], "little")
    sides = [data[6 + 16 * n] or 256 for n in range(count)]
    assert sides == [16, 32, 256]


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"width": 48}, (48, 32)),
        ({"width": 40, "height": 40, "fit": "cover"}, (40, 40)),
        ({"width": 40, "height": 40, "fit": "pad", "background": "#0000ff"}, (40, 40)),
    ],
)
def test_sizes(options: dict[str, object], size: tuple[int, int], tmp_path: Path) -> None:
    result = convert(images.make("bmp", tmp_path / "sample"), "bmp", "png", tmp_path, **options)
    assert pixels(result)[0] == size
    if options.get("fit") == "pad":
        assert near(at(result, 0.5, 0.05), (0, 0, 255))


def test_sixteen_bits_of_grey(tmp_path: Path) -> None:
    Image.new("I;16", (32, 32), 40_000).save(tmp_path / "a.png")
    result = convert(tmp_path / "a.png", "png", "bmp", tmp_path)
    assert near(at(result, 0.5, 0.5), (156, 156, 156), 2)
    result = convert(tmp_path / "a.png", "png", "jp2", tmp_path, lossless=True)
    back = convert(result, "jp2", "png", tmp_path)
    assert pyvips.Image.new_from_file(str(back), revalidate=True)(5, 5) == [40_000]


@pytest.mark.parametrize("source", [*OWN, "psd"])
@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "mislabelled"])
def test_broken_files_are_refused(source: str, damage: str, tmp_path: Path) -> None:
    whole = images.make(source, tmp_path / "sample").read_bytes()
    other = images.make("png", tmp_path / "other").read_bytes()
    broken = tmp_path / "broken"
    broken.write_bytes(
        {
            "empty": b"",
            "cut": whole[: len(whole) // 2],
            "noise": bytes(range(7, 256)) * 16,
            "mislabelled": other,
        }[damage]
    )
    with pytest.raises(FileInvalid):
        convert(broken, source, "png", tmp_path)


def test_a_header_that_claims_too_many_pixels(tmp_path: Path) -> None:
    sample = bytearray(images.make("bmp", tmp_path / "sample").read_bytes())
    sample[18:26] = (30_000).to_bytes(4, "little") * 2
    (tmp_path / "bomb").write_bytes(sample)
    with pytest.raises(LimitExceeded):
        convert(tmp_path / "bomb", "bmp", "png", tmp_path)


@pytest.mark.parametrize(
    "size", [(1, 1), (8, 8), (256, 256), (257, 100), (100, 9000), (160, 90), (1000, 500)]
)
def test_the_size_of_a_jxl_is_read_from_its_header(size: tuple[int, int], tmp_path: Path) -> None:
    import pillow_jxl  # noqa: F401

    Image.new("L", size).save(tmp_path / "a.jxl", effort=1)
    assert bare.facts(tmp_path / "a.jxl") == Facts(
        "jxl", (tmp_path / "a.jxl").stat().st_size, width=size[0], height=size[1], frames=1
    )


def test_effort_makes_a_heic_smaller(tmp_path: Path) -> None:
    Image.effect_noise((300, 200), 60).resize((600, 400)).convert("RGB").save(tmp_path / "a.png")
    sizes = [
        convert(tmp_path / "a.png", "png", "heic", tmp_path, effort=effort).stat().st_size
        for effort in ("fast", "balanced", "smaller")
    ]
    assert sizes[0] > sizes[1] > sizes[2]
