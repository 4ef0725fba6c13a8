"""What ``tablechop`` was asked for, in the words of the purge."""

from datetime import datetime

from tablesnap.cli.tablechop.flags import Options
from tablesnap.purge.planning import Terms
from tablesnap.rules.purging import Retention


def terms_of(options: Options, store_now: datetime, now: datetime) -> Terms:
    """Return what was asked for, as moments.

    Of two clocks the one that keeps more counts: restore points are dated by the machine's, and stored by the store's.
    """
    keep = options.keep
    return Terms(
        keys=options.keys,
        path=options.path,
        retention=Retention(
            cutoff=min(store_now, now) - (options.grace if options.age is None else options.age),
            settled=store_now - options.grace,
            last=keep.last,
            hourly=keep.hourly,
            daily=keep.daily,
            weekly=keep.weekly,
            monthly=keep.monthly,
        ),
        now=store_now,
        grace=options.grace,
        unindexed_before=None if options.unindexed_age is None else store_now - options.unindexed_age,
        forget_all=options.forget_all,
        readers=options.readers,
    )
