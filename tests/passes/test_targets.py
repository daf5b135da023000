"""Target files: those of the package, a user's own, and wrong ones."""

import pytest

import fusible

MINE = """
name = "mine"
pipeline = "fuse-ops"
operators = ["fused_add_rms_norm"]
[variants]
per_token_group_quant_fp8 = { dtype = ["e4m3fn"] }
[capabilities]
tensor_memory = true
"""


def test_the_targets_of_the_package_load():
    names = fusible.targets()
    assert {"cpu", "cuda-sm90", "musa-s5000", "rocm-gfx942", "rocm-gfx950"} <= set(names)
    assert [fusible.load_target(name).name for name in names] == names


@pytest.mark.parametrize(
    ("name", "fp8"),
    [("rocm-gfx942", "e4m3fnuz"), ("rocm-gfx950", "e4m3fn"), ("cuda-sm90", "e4m3fn")],
)
def test_native_fp8_format(name, fp8):
    assert fusible.load_target(name).fp8 == fp8


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    target = fusible.load_target(path)
    assert target.has("fused_add_rms_norm")
    assert not target.has("rms_norm")
    assert target.capability("tensor_memory") is True
    assert fusible.load_target(str(path)).name == "mine"


@pytest.mark.parametrize("name", fusible.targets())
def test_an_unknown_capability_is_none(name):
    assert fusible.load_target(name).capability("never_heard_of_it") is None


def test_equal_targets_have_equal_text(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    first = str(fusible.load_target(path))
    head, variants, capabilities = MINE.partition("[variants]")
    reordered = "\n".join(reversed(head.strip().splitlines()))
    path.write_text(f"{reordered}\n{variants}{capabilities}")
    assert str(fusible.load_target(path)) == first
    path.write_text(MINE.replace("e4m3fn", "e4m3fnuz"))
    assert str(fusible.load_target(path)) != first


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "mine"', "", "mine.toml: name: expected a value, got none"),
        ("pipeline", "pipe", "mine.toml: pipe: expected one of .*, got an unknown key"),
        ('"fuse-ops"', "3", "mine.toml: pipeline: expected str, got int"),
        ('["fused_add_rms_norm"]', '["fused"]', "mine.toml: operators: .*, got 'fused'"),
        ('["e4m3fn"]', '"e4m3fn"', "variants.per_token_group_quant_fp8.dtype: expected a list"),
        ("per_token_group_quant_fp8", "quant", "variants.quant: expected the name of an operator"),
        ('name = "mine"', 'name = "mine"\nfp8 = "bf16"', "mine.toml: .*fp8: expected e4m3fn"),
        ("[variants]", "[variants", "mine.toml: "),
        ('"mine"', '""', "mine.toml: name: expected a line of text, got ''"),
        ('"mine"', '"a\\nb"', "mine.toml: name: expected a line of text"),
        ('"fuse-ops"', '" "', "mine.toml: pipeline: expected a line of text, got ' '"),
        ('["fused_add_rms_norm"]', "[]", "mine.toml: operators: .*, got an empty list"),
        ("{ dtype", "{ colour", "quant_fp8.colour: expected one of group_size, .*, got 'colour'"),
        ('["e4m3fn"]', "[]", "quant_fp8.dtype: expected a list of values, got "),
        ('["e4m3fn"]', '["bf16"]', "quant_fp8.dtype: expected some of e4m3fn, .*, got 'bf16'"),
        ('dtype = ["e4m3fn"]', "group_size = [7]", "group_size: expected some of 16, .*, got 7"),
        ('dtype = ["e4m3fn"]', "group_size = [64.0]", "group_size: expected some of .*, got 64.0"),
        ('dtype = ["e4m3fn"]', "fp8_max = [true]", "fp8_max: expected numbers, got True"),
        ("[variants]", '[uncacheable]\nfuse = "a"\n[variants]', "uncacheable.fuse: .*unknown pass"),
        ("[variants]", "[uncacheable]\nfuse-ops = true\n[variants]", "fuse-ops: .*, got True"),
        ("[variants]", '[uncacheable]\nfuse-ops = " "\n[variants]', "fuse-ops: .*a line of text"),
        ('"mine"', '"mine"\nuncacheable = ["fuse-ops"]', "uncacheable: expected dict, got list"),
        ("[capabilities]", "[costs]\nspeed = true\n[capabilities]", "costs.speed: .*unknown key"),
        ("[capabilities]", "[costs]\nkeep = 1\n[capabilities]", "costs.keep: .*false, got 1"),
        ('"mine"', '"mine"\nscratch_bytes = 9223372036854775808', "scratch_bytes: expected 1 to"),
        ("true", "[" * 5000 + "]" * 5000, "mine.toml: expected TOML, got too many"),
    ],
)
def test_a_wrong_file_names_file_and_key(tmp_path, old, new, message):
    path = tmp_path / "mine.toml"
    path.write_text(MINE.replace(old, new, 1))
    with pytest.raises(fusible.ArgumentError, match=message):
        fusible.load_target(path)


@pytest.mark.parametrize("name", ["gfx9000", "missing.toml", "no/such/file.toml", "a\0.toml"])
def test_a_missing_target_is_named(name):
    with pytest.raises(fusible.ArgumentError, match=name):
        fusible.load_target(name)


def test_an_unknown_pass_is_named_when_it_is_run(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINE.replace("fuse-ops", "fuse-all"))
    with pytest.raises(fusible.ArgumentError, match="fuse-all"):
        fusible.PassManager(None, path)
