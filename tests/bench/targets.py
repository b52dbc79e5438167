"""What the figures are to reach, and by how much they do not.

A target names two servers of a group and compares them round by round: as everything else that is
measured here, its value is the median of the ratios. A target that is met by CPU time per
operation says so: throughput is limited by whatever else runs, first of all by the load generator.
"""

import collections
import statistics

# server, reference: names. field: of a round. limits: pipeline -> ratio to reach, or not to exceed
# (at_most). or_cpu: pipeline -> CPU ratio at which the target is met, too.
Target = collections.namedtuple("Target", "server reference field limits at_most or_cpu",
                                defaults=(False, {}))


def faster(server, reference, limits, or_cpu=None, disk=False):
    """Throughput; a server that does not wait for a disk may show it by its CPU time instead."""
    by_cpu = {} if disk else {pipeline: 1 / limit for pipeline, limit in limits.items()}
    return Target(server, reference, "kops", limits, False, by_cpu | (or_cpu or {}))


def gains(server, reference, limits):
    """Throughput and nothing else."""
    return Target(server, reference, "kops", limits, False, {})


def cheaper(server, reference, limits):
    return Target(server, reference, "cpu_us", limits, True, {})


def ratio(rounds, others, field):
    """The median of the ratios of rounds that were measured in turn; None without any."""
    pairs = [one[field] / other[field] for one, other in zip(rounds, others) if other[field] > 0]
    return statistics.median(pairs) if pairs else None


def verdict(what, value, limit, at_most=True):
    """A finding about one figure: how it compares with its limit."""
    met = value is not None and (value <= limit if at_most else value >= limit)
    found = {"what": what, "limit": limit, "at_most": at_most, "met": met,
             "value": None if value is None else round(value, 3)}
    if value and not met:
        found["missed_by"] = round(abs(value - limit) / limit, 3)
    return found


def verdict_of(target, pipeline, measured):
    """`measured`: server -> its rounds. None: there is no target at this pipeline."""
    if pipeline not in target.limits:
        return None
    rounds = measured.get(target.server, []), measured.get(target.reference, [])
    found = verdict(f"{target.field} / {target.reference}", ratio(*rounds, target.field),
                    target.limits[pipeline], target.at_most)
    cpu = ratio(*rounds, "cpu_us")
    if not found["met"] and cpu and cpu <= target.or_cpu.get(pipeline, 0):
        found |= {"met": True, "by_cpu": round(cpu, 3)}
    return found


def in_words(found):
    sign = "<=" if found["at_most"] else ">="
    value = "not measured" if found["value"] is None else f"{found['value']:.2f}"
    if found["value"] is None:
        end = "NOT CHECKED"
    elif found.get("by_cpu"):
        end = f"ok by CPU {found['by_cpu']:.2f}"
    elif found["met"]:
        end = "ok"
    else:
        by = found.get("missed_by", abs(found["value"] / found["limit"] - 1))
        end = f"MISSED by {by * 100:.0f} %"
    return f"{found['what']} {value}, target {sign} {found['limit']:g}: {end}"
