"""A wrong verdict is worse than none: what counts as met, by what, and how misses are told."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

from targets import cheaper, faster, in_words, ratio, verdict, verdict_of  # noqa: E402


def rounds(kops, cpu_us):
    return [{"kops": one, "cpu_us": cpu_us} for one in kops]


class Verdicts(unittest.TestCase):
    def judge(self, target, ours, theirs, pipeline=16):
        return verdict_of(target, pipeline, {"a": ours, "b": theirs})

    def test_ratios_are_taken_round_by_round(self):
        slow_in_the_middle = rounds([100, 10, 100], 1), rounds([50, 5, 50], 1)
        self.assertEqual(ratio(*slow_in_the_middle, "kops"), 2)

    def test_throughput_at_the_limit_is_met(self):
        found = self.judge(faster("a", "b", {16: 2}), rounds([100], 9), rounds([50], 1))
        self.assertTrue(found["met"])
        self.assertNotIn("by_cpu", found)

    def test_throughput_below_it_is_met_by_cpu_time_alone(self):
        target = faster("a", "b", {16: 2})
        self.assertEqual(self.judge(target, rounds([60], 1), rounds([50], 2))["by_cpu"], 0.5)
        self.assertFalse(self.judge(target, rounds([60], 1.1), rounds([50], 2))["met"])

    def test_a_server_that_waits_for_the_disk_is_not_excused_by_its_cpu_time(self):
        target = faster("a", "b", {16: 2}, disk=True)
        self.assertFalse(self.judge(target, rounds([60], 1), rounds([50], 9))["met"])

    def test_a_round_without_measured_cpu_time_proves_nothing(self):
        target = faster("a", "b", {16: 2})
        self.assertFalse(self.judge(target, rounds([60], 0), rounds([50], 2))["met"])
        found = self.judge(cheaper("a", "b", {16: 2}), rounds([60], 1), rounds([50], 0))
        self.assertIsNone(found["value"])
        self.assertFalse(found["met"])

    def test_what_was_not_measured_is_not_met(self):
        found = self.judge(cheaper("a", "b", {16: 2}), [], rounds([50], 1))
        self.assertFalse(found["met"])
        self.assertIn("NOT CHECKED", in_words(found))

    def test_other_pipelines_have_no_target(self):
        self.assertIsNone(self.judge(cheaper("a", "b", {16: 2}), rounds([1], 1), rounds([1], 1), 1))

    def test_words_say_by_how_much(self):
        self.assertIn("target <= 2: MISSED by 50 %", in_words(verdict("x", 3, 2)))
        self.assertIn("target >= 4: MISSED by 50 %", in_words(verdict("x", 2, 4, at_most=False)))
        self.assertTrue(in_words(verdict("x", 2, 2)).endswith(": ok"))


if __name__ == "__main__":
    unittest.main()
