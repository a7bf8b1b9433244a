import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.report import ASSESSMENT, COURSE, radiograph, report_of

from boneage_node.bone_age import Course, Sex
from boneage_node.bone_age.reference import z_score
from boneage_node.bone_age.rounding import rounded
from boneage_node.radiograph import Choice
from boneage_node.reading.result import result
from boneage_node.report import fhir_bundle, years_and_months
from boneage_node.report.sr.measurements import measurements
from boneage_node.report.wording import assessment_sentences, months, signed
from boneage_node.traffic.file import LocalFile


@pytest.mark.parametrize(
    ("age_months", "words"),
    [
        (0.0, "0 mo"),
        (0.49, "0 mo"),
        (0.5, "1 mo"),
        (11.4, "11 mo"),
        (11.5, "1 y 0 mo"),
        (12.0, "1 y 0 mo"),
        (98.4, "8 y 2 mo"),
        (98.5, "8 y 3 mo"),
        (239.9, "20 y 0 mo"),
        (-0.2, "0 mo"),
        (-3.0, "-3 mo"),
        (-14.0, "-1 y 2 mo"),
    ],
)
def test_an_age_reads_as_years_and_months(age_months, words):
    assert years_and_months(age_months) == words


@pytest.mark.parametrize("value", [0.0, -0.0, 0.04, -0.04])
def test_what_rounds_to_zero_has_no_minus(value):
    assert signed(value, 1) == "+0.0"
    assert months(value) == "0.0 months"
    assert str(rounded(value, 1)) == "0.0"


@settings(max_examples=50)
@given(
    bone_age=st.floats(0, 240),
    half=st.floats(0, 30),
    age=st.none() | st.floats(0, 228),
    sex=st.sampled_from([*Sex, None]),
    earlier=st.floats(0, 240),
)
def test_whatever_is_read_all_documents_say_the_same_of_it(bone_age, half, age, sex, earlier):
    """Numbers without -0.0, and words that hold of the numbers that are printed."""
    read = rounded(bone_age, 1)
    z = z_score(read, age, sex) if sex else None
    assessment = replace(
        ASSESSMENT,
        bone_age_months=read,
        interval_months=(rounded(max(0.0, read - half), 1), rounded(read + half, 1)),
        sex=sex,
        months_by_sex={sex: read} if sex else dict.fromkeys(Sex, read),
        chronological_age_months=age,
        z_score=z,
    )
    course = Course(COURSE.study_date, [replace(COURSE.earlier[0], bone_age_months=rounded(earlier, 1))])
    said = " ".join(assessment_sentences(assessment, course))
    report = report_of(radiograph(), assessment, course=course)
    observation = fhir_bundle(report)["entry"][0]["resource"]
    answer = result(
        "hand.dcm", Choice(LocalFile(Path("hand.dcm")), None, None, None, None), assessment, course=course
    ).to_json()
    assert not re.search(r"-0\.0+(?![0-9])|-0 mo", said + json.dumps([observation, answer]))
    numbers = {m.name.value: m.value for m in measurements(assessment)}
    assert "-0.0" not in str(list(numbers.values()))
    if z is None:
        assert "for age" not in said
        return
    printed = float(re.search(r"\(z-score ([+-][0-9.]+)", said)[1])
    assert printed == answer["z_score"] == numbers["121416"]
    beyond, shown = re.search(r"outside 2 SD with a probability of ([<>]?)([0-9]+) %", said).groups()
    assert numbers["122157"] == int(shown)
    probability = {"<": 0.0, ">": 1.0}.get(beyond, int(shown) / 100)
    assert answer["probability_outside_normal"] == probability
    word = "advanced" if printed > 2 else "delayed" if printed < -2 else "normal"
    assert f": {word} for age" in said
    assert answer["determination"] == word
    assert observation["interpretation"][0]["text"].startswith(f"{word} for age")
    ends = re.search(r"; the interval, ([+-][0-9.]+) to ([+-][0-9.]+), reaches", said)
    assert (ends is not None) is (", not certain" in said) is (answer["determination_certain"] is False)
    assert ends is None or float(ends[1]) <= 2 <= printed or printed <= -2 <= float(ends[2])
