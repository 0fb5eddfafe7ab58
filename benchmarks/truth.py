"""What is wished of each world's pictures: one factor at another value. `benchmarks.tables` measures what brings it."""

from tools.truth import Wish

WISHES = {
    "portraits": (
        Wish("no glasses", "glasses", 0.1),
        Wish("glasses", "glasses", 0.95),
        Wish("no hat", "hat", 0.1),
        Wish("hat", "hat", 0.95),
        Wish("shorter hair", "hair_length", 0.05),
        Wish("longer hair", "hair_length", 0.9),
        Wish("black hair", "hair_colour", 0.02),
        Wish("blond hair", "hair_colour", 0.8),
        Wish("mouth closed", "mouth_openness", 0.03),
        Wish("mouth open", "mouth_openness", 0.97),
        Wish("smile", "mouth_curve", 0.97),
        Wish("frown", "mouth_curve", 0.03),
        Wish("wider mouth", "mouth_width", 0.97),
        Wish("eyes closed", "eye_openness", 0.03),
        Wish("eyes open", "eye_openness", 0.97),
        Wish("larger eyes", "eye_size", 0.97),
        Wish("looking right", "gaze", 0.97),
        Wish("worried brows", "brow_tilt", 0.97),
        Wish("thicker brows", "brow_thickness", 0.97),
        Wish("longer nose", "nose_length", 0.97),
        Wish("fringe", "fringe", 0.97),
        Wish("dark skin", "skin_tone", 0.95),
        Wish("darker clothes", "clothes_shade", 0.03),
        Wish("nothing behind", "object", 0.1),
        Wish("object behind", "object", 0.95),
    ),
}
