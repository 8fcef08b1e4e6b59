"""Walks through time minute by minute and says when schedules run: slow, simple, and with Python's
zoneinfo instead of anything of ours. main.rs compares.

stdin: {"start", "end": minutes since 1970, "zones", "crons", "scenarios": [{"zone", "cron",
"missed", "limit", "overlap", "run_minutes", "down": [[from, until], ...]}]}
stdout: {"slots": {zone: {cron: [minute, ...]}}, "runs": [[[minute, slot], ...], ...]}
"""
import json
import sys
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)


def numbers(field, low, high):
    """The numbers that a field of a cron expression stands for."""
    found = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            first, last = low, high
        found.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return found


class Cron:
    def __init__(self, text):
        minute, hour, day, month, weekday = text.split()
        self.minutes, self.hours = numbers(minute, 0, 59), numbers(hour, 0, 23)
        self.days, self.months = numbers(day, 1, 31), numbers(month, 1, 12)
        self.weekdays = {number % 7 for number in numbers(weekday, 0, 7)}
        self.either = day != "*" and weekday != "*"
        self.elapsed = len(self.hours) == 24

    def matches(self, wall):
        if wall.minute not in self.minutes or wall.hour not in self.hours or wall.month not in self.months:
            return False
        in_month, in_week = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return (in_month or in_week) if self.either else (in_month and in_week)


def walk(zone_name, crons, start, end):
    """Yields (minute, [the crons that have a slot then]) for every minute."""
    zone = ZoneInfo(zone_name)
    # The furthest that the wall clock has shown: what it shows again has had its turn.
    furthest = datetime.fromtimestamp((start - 1) * 60, zone).replace(tzinfo=None)
    by_minute = [[cron for cron in crons if minute in cron.minutes] for minute in range(60)]
    for minute in range(start, end):
        wall = datetime.fromtimestamp(minute * 60, zone).replace(tzinfo=None, fold=0)
        if wall == furthest + MINUTE:
            # An ordinary minute.
            furthest = wall
            due = [cron for cron in by_minute[wall.minute] if cron.matches(wall)]
        elif wall <= furthest:
            # A minute that the clock has shown before.
            due = [cron for cron in crons if cron.elapsed and cron.matches(wall)]
        else:
            # The clock has skipped some.
            skipped = [furthest + MINUTE * n for n in range(1, int((wall - furthest) / MINUTE))]
            due = [cron for cron in crons
                   if cron.matches(wall) or not cron.elapsed and any(cron.matches(s) for s in skipped)]
        furthest = max(furthest, wall)
        yield minute, due


def runs(scenario, slots, start, end):
    """Runs of one schedule whose worker is down at times: [[minute, slot], ...]."""
    slots, done, pending = set(slots), [], []
    down = bytearray(end - start)
    for first, last in scenario["down"]:
        down[first - start:last - start] = b"\1" * (min(last, end) - min(first, end))
    free_from = start
    for minute in range(start, end):
        if minute in slots:
            pending.append(minute)
        if down[minute - start] or not pending:
            continue
        due = {"run_once": pending[-1:],
               "skip": [slot for slot in pending if slot == minute],
               "run_all": pending[:scenario["limit"]]}[scenario["missed"]]
        pending = []
        if scenario["overlap"] == "skip" and free_from > minute:
            continue
        for slot in due:
            done.append([minute, slot])
            free_from = max(free_from, minute) + scenario["run_minutes"]
    return done


def main():
    task = json.load(sys.stdin)
    start, end = task["start"], task["end"]
    slots = {}
    for zone in task["zones"]:
        crons = {text: Cron(text) for text in task["crons"]}
        found = {text: [] for text in task["crons"]}
        names = {cron: text for text, cron in crons.items()}
        for minute, due in walk(zone, list(crons.values()), start, end):
            for cron in due:
                found[names[cron]].append(minute)
        slots[zone] = found
    done = [runs(s, slots[s["zone"]][s["cron"]], start, end) for s in task["scenarios"]]
    json.dump({"slots": slots, "runs": done}, sys.stdout)


main()
