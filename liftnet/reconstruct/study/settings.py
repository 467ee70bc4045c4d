"""Settings of the perceptual studies."""

from __future__ import annotations

from pydantic import Field

from liftnet.core.settings import Settings


class ExclusionSettings(Settings):
    """Whose answers are not counted; written into the plan before anybody has answered."""

    checks_right: float = Field(
        0.8, ge=0, le=1, description="fewest check questions answered right, as a share of those answered"
    )
    least_median_s: float = Field(1.0, ge=0, description="shortest median time of a person's answers, seconds")
    most_one_side: float = Field(0.9, gt=0.5, le=1, description="largest share of answers on one side of the page")
    answered: float = Field(0.9, gt=0, le=1, description="fewest questions answered, as a share of all")


class StudySettings(Settings):
    """A study with people: what its page asks and shows, and whose answers count."""

    title: str = Field(
        "Which shape looks more like it?", min_length=1, max_length=80, description="headline of the page"
    )
    contact: str = Field("", max_length=200, description="who runs the study and how to reach them; shown on the page")
    questions: int = Field(50, ge=1, le=500, description="pairs of shapes that are asked about")
    checks: int = Field(5, ge=0, le=50, description="questions with a right answer: the truth beside another class")
    participants: int = Field(80, ge=1, description="how many people are to answer, for the plan")
    picture_px: int = Field(200, ge=64, le=512, description="side of the pictures, px")
    second_view: float = Field(120.0, ge=0, le=360, description="degrees that the second view is turned about upright")
    best_share: float = Field(
        0.2, gt=0, le=1, description="ps2: the best share of items, by mean rank, that are asked"
    )
    exclusion: ExclusionSettings = Field(ExclusionSettings(), description="whose answers are not counted")


class VoterSettings(Settings):
    """Voters that are simulated, to try a study and its analysis before anybody is asked."""

    share: float = Field(0.71, gt=0, lt=1, description="share of votes for DR-KFS over all items and attentive voters")
    item_sd: float = Field(1.0, ge=0, le=10, description="how far items differ, standard deviation of the logit")
    voter_sd: float = Field(0.4, ge=0, le=10, description="how far voters differ, standard deviation of the logit")
    checks_right: float = Field(0.98, gt=0, lt=1, description="how often an attentive voter gets a check right")
    careless: float = Field(0.05, ge=0, le=1, description="share of voters who choose at random")
    median_s: float = Field(3.0, gt=0, description="median time of an answer, seconds")
    spread: float = Field(0.4, ge=0, le=3, description="standard deviation of the logarithm of the times")
