"""What is known about each data set, in one place: files, columns, source, licence, citation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class DatasetSpec:
    """Facts about one data set.

    Parameters
    ----------
    name : str
        What follows ``fetch_``.
    title, source, licence, citation : str
        For the description.
    files : tuple of str
        Files looked for, relative to the data home.
    target : str
        Name of the target column.
    protected, categorical : tuple of str
        Protected features, and those to be encoded one-hot (text, and numbers that only name things).
    not_features : mapping of str to str
        Column -> why it must not be a feature (it leaks the target, or only names the row).
    monotonic_cst : mapping of str to {-1, 1}
        Directions that published work imposes on this set; usable as ``Monotonic(bunch.monotonic_cst)``.
    preprocessing : str
        What the fetcher does to the raw file.
    openml_id : int or None
        A public copy whose columns are the same; None where there is none.
    openml_note : str
        Why no OpenML copy is offered, if none is.
    """

    name: str
    title: str
    files: tuple[str, ...]
    target: str
    source: str
    licence: str
    citation: str
    preprocessing: str
    protected: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    not_features: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    monotonic_cst: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    openml_id: int | None = None
    openml_note: str = ""


_AUDITED_SCORE = "a score of the audited tool itself"
_CONTAINS_TARGET = "contains the target"

COMPAS = DatasetSpec(
    name="compas",
    title="COMPAS: recidivism within two years (ProPublica)",
    files=("compas.csv.gz",),
    target="two_year_recid",
    protected=("race",),
    categorical=("sex", "race", "c_charge_degree"),
    not_features=MappingProxyType(
        {
            "is_recid": _CONTAINS_TARGET,
            "is_violent_recid": _CONTAINS_TARGET,
            "decile_score": _AUDITED_SCORE,
            "score_text": _AUDITED_SCORE,
            "v_decile_score": _AUDITED_SCORE,
            "v_score_text": _AUDITED_SCORE,
            "custody_days": "may cover a later arrest",
            "jail_days": "missing for the rows that the filter drops; not among the usual features",
            "days_b_screening_arrest": "used by the filter only",
            "age_cat": "a function of age",
            "c_charge_desc": "free text with hundreds of values",
        }
    ),
    monotonic_cst=MappingProxyType(
        {"priors_count": 1, "juv_fel_count": 1, "juv_misd_count": 1, "juv_other_count": 1}
    ),
    preprocessing=(
        "ProPublica's filter (days_b_screening_arrest in [-30, 30], is_recid != -1, c_charge_degree F or M, "
        "score_text present): 6172 of 7214 rows; with races=('African-American', 'Caucasian') 5278."
    ),
    source="ProPublica, compas-analysis: two-year scores",
    licence="public records published by ProPublica, no licence file; sensitive data on real people",
    citation="Angwin, Larson, Mattu & Kirchner, 'Machine Bias', ProPublica 2016",
    openml_note=(
        "its copies of COMPAS have other columns (race already one-hot encoded and reduced to two values, "
        "the columns that the filter needs gone)"
    ),
)

LAW = DatasetSpec(
    name="law",
    title="LSAC National Longitudinal Bar Passage Study",
    files=("law.csv.gz",),
    target="pass_bar",
    protected=("race",),
    categorical=("tier", "race"),
    monotonic_cst=MappingProxyType({"lsat": 1, "ugpa": 1}),
    preprocessing=(
        "None: 20798 rows, no missing values. decile1b, decile3: class-rank deciles of years 1 and 3; "
        "zfygpa, zgpa: standardised first-year and overall law-school grades; ugpa: college GPA; "
        "fulltime 1 or 2; fam_inc 1 to 5; male 0 or 1; tier 1 to 6 is a nominal school cluster."
    ),
    source="LSAC, cleaned version of Le Quy et al. 2022",
    licence="no explicit licence; redistributed for research",
    citation="Wightman 1998, LSAC National Longitudinal Bar Passage Study; Le Quy et al. 2022",
    openml_note="the OpenML copies of the law-school data have other columns or another target",
)

LAW_ADMISSION = DatasetSpec(
    name="law_admission",
    title="Law school admissions (Project SEAPHE)",
    files=("law_admission.csv.gz",),
    target="admit",
    protected=("race",),
    categorical=("race", "college", "year"),
    not_features=MappingProxyType({"enroll": "missing only where admit is 0, so it gives the target away"}),
    monotonic_cst=MappingProxyType({"lsat": 1, "gpa": 1}),
    preprocessing=(
        "enroll dropped, then rows with missing values dropped: 55819 of 65535 rows. race is White or "
        "Non-White; binary_race=False keeps White, Asian, Black, Hispanic. The file is very likely "
        "incomplete: it ends at the row limit of old spreadsheets."
    ),
    source="Project SEAPHE, lawschs1_1 (the site is gone; copy of Sohn, Song & Lin, AISTATS 2024)",
    licence="public-records (FOIA) data; no licence known",
    citation="Project SEAPHE; Sohn, Song & Lin, AISTATS 2024",
    openml_note="OpenML has no copy of the SEAPHE admissions table with these columns",
)

_ROW_NAME = "names the community or a cross-validation fold"

CRIME = DatasetSpec(
    name="crime",
    title="Communities and Crime (UCI), normalised version",
    files=("crime.csv.gz",),
    target="ViolentCrimesPerPop",
    protected=("race",),
    categorical=("race",),
    not_features=MappingProxyType(
        dict.fromkeys(("state", "county", "community", "communityname", "fold"), _ROW_NAME)
    ),
    preprocessing=(
        "Columns that name rows and the columns with missing values dropped: 99 numeric features plus race "
        "(Black where racepctblack >= 0.06, else Other). race is a function of racepctblack, so unless "
        "drop_race_proxies=False the four racepct* columns are dropped: 95 numeric features plus race."
    ),
    source="UCI Machine Learning Repository; race as binarised by Le Quy et al. 2022",
    licence="CC BY 4.0",
    citation="Redmond & Baveja 2002, European Journal of Operational Research 141",
    openml_id=315,
)

ADULT = DatasetSpec(
    name="adult",
    title="Adult (UCI): income above 50K",
    files=("adult.csv.gz",),
    target="income",
    protected=("race", "sex"),
    categorical=(
        "workclass",
        "education",
        "marital_status",
        "occupation",
        "relationship",
        "race",
        "sex",
        "native_country",
    ),
    not_features=MappingProxyType({"fnlwgt": "a survey weight, not a trait of the person"}),
    monotonic_cst=MappingProxyType({"education_num": 1, "capital_gain": 1, "hours_per_week": 1}),
    preprocessing=(
        "fnlwgt dropped, then rows with missing values dropped: 30162 train and 15060 test rows of the "
        "official split. The target is 1 for '>50K', 0 for '<=50K'."
    ),
    source="UCI Machine Learning Repository",
    licence="CC BY 4.0",
    citation="Becker & Kohavi 1996, Adult; Kohavi, KDD 1996",
    openml_id=1590,
)

AUTO_MPG = DatasetSpec(
    name="auto_mpg",
    title="Auto MPG (UCI), split of COMET",
    files=("monotone/auto_mpg_train.csv.gz", "monotone/auto_mpg_test.csv.gz"),
    target="mpg",
    monotonic_cst=MappingProxyType({"displacement": -1, "horsepower": -1, "weight": -1}),
    preprocessing="None: 314 train and 78 test rows, raw units.",
    source="UCI Machine Learning Repository; split of the COMET repository",
    licence="CC BY 4.0 (data), MIT (split)",
    citation="Quinlan 1993; Sivaraman, Farnadi, Millstein & Van den Broeck, NeurIPS 2020",
    openml_note="OpenML's autoMpg has the rows but not the split that published results refer to",
)

MNIST = DatasetSpec(
    name="mnist",
    title="MNIST handwritten digits",
    files=("mnist.npz",),
    target="digit",
    preprocessing="Flattened to 784 pixels, divided by 255; official order, 60000 train and 10000 test rows.",
    source="LeCun, Cortes & Burges",
    licence="commonly given as CC BY-SA 3.0",
    citation="LeCun, Bottou, Bengio & Haffner 1998, Proceedings of the IEEE 86",
    openml_id=554,
)
