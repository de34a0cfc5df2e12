"""What happens to one revision, phase by phase in the order of `examination`, and what each phase has to show.

Each is a module that returns a record with an `Outcome`; none changes what another has returned. Named behind a phase are the
modules that it calls.

1. `first_upgrade`: the revision goes up on sample rows. Where rows are what stops it, rows that it takes are made.
   `sequences_behind`: no sequence hands out above what its column holds already.
2. `interim_writes`: other clients write above it, by key. `triggers_made`: their rows take the branches of new triggers.
3. `downgrade`: it goes down, and catalogue, values and sequences are what they were. `trigger_rows`, `rows_made_up`: no row is
   left behind, and none was made up. `freedoms`: which rows, had they been written above, would stand in the way below.
   `stored_views`: materialized views hold what their queries give.
4. `own_rows`: 1 to 3 again, on rows made of what the revision's statements name. Each statement has met rows now, or
   nothing is proved. `taken_along`: once more with children of rows that the upgrade takes away.
   `extension_rows`: rows that others have put into an extension's own tables stay as they are both ways, inside the upgrade's
   transaction and undone.
5. `second_upgrade`: it goes up again, and does what it did before.
6. There, inside the downgrade's transaction and undone (`trials`): `conditions_tried` makes a row that uses a freedom and goes
   down with it; `moved_values` changes a value where the upgrade has moved it, and it must come down; `keys_again` gives a
   new row the key of one that the upgrade took away; `like_inserted` writes a row like one that the upgrade inserted.
7. `second_downgrade`, where the downgrade writes rows or something was lost: it goes down with old rows changed and deleted
   by others. `older_rows`: what the release below wrote above is there below.
8. `next_start`, where 7 was not taken: the database is put back to what the upgrade leaves, for the next revision.
9. `under_traffic`, where asked for: both ways while clients of the other release work (`traffic`, `kept_values`).
10. `interrupt`, where asked for: both ways cut at every statement (`mid_statement`) and run again.
"""
