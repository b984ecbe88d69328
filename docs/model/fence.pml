/* The protocol from epoch to sink transaction, for one table: epochs, bootstrap, claim, apply, takeover, close.
 *
 * Nothing here has a clock: a process that is not scheduled for a while is a frozen one, a message stays in the network
 * for ever and may arrive late and many times, and a maintainer may suspect a healthy node at any time. So what holds
 * here holds whatever is slow. See README.md for what is checked and how to run it.
 */

#ifndef NODES
#define NODES 2
#endif
#ifndef EPOCHS
#define EPOCHS 3
#endif
#ifndef ROWS
#define ROWS 2
#endif
#ifndef PLACEMENTS
#define PLACEMENTS 2
#endif

#define NOBODY 255

/* etcd: the epoch's owner and role, durable before any message carries it */
byte epoch;
byte owner[EPOCHS + 1];
bool closes[EPOCHS + 1];

/* the nodes' dispatcher managers */
byte seen[NODES];              /* the epoch that is obeyed */
byte tombstone[NODES];         /* the highest epoch closed */
byte highest[NODES];           /* a ghost: the highest epoch ever obeyed */

/* the nodes' dispatchers of the one table */
bool wanted[NODES];            /* should run */
bool claimed[NODES];
byte my_epoch[NODES];          /* a takeover raises it while the dispatcher runs */
byte my_generation[NODES];
byte recorded[NODES];          /* the epoch that our progress row carries, after a takeover below my_epoch */
byte position[NODES];

/* the sink */
byte fence;
byte row_epoch, row_generation, row_position;
byte row_session = NOBODY;     /* the session that claimed the progress row last: one per node at a time */
byte locker = NOBODY;          /* whose open transaction holds the locks on fence (shared) and progress row */
byte applied[ROWS];            /* how often each source transaction was committed */
byte promised;                 /* a ghost: below this epoch nothing is to be committed any more */

#define may_claim(n) (row_epoch < my_epoch[n] || (row_epoch == my_epoch[n] && row_generation <= my_generation[n]))

#ifdef BUG_PROGRESS_NOT_CHECKED
#define row_is_mine(n) true
#else
#ifdef BUG_SESSION_NOT_CHECKED
#define row_is_mine(n) (row_epoch == recorded[n] && row_generation == my_generation[n])
#else
#define row_is_mine(n) (row_epoch == recorded[n] && row_generation == my_generation[n] && row_session == n)
#endif
#endif

#ifdef BUG_NO_FENCE
#define raise(e) skip
#else
#define raise(e) fence = e
#endif

inline admit_bootstrap(n, e, ok) {
    ok = (e > seen[n] || (e == seen[n])) && e > tombstone[n];
}

/* A new epoch for a new owner, or for the same one. */
active proctype Coordinator() {
    byte n;
    do
    :: epoch < EPOCHS ->
        atomic {
            select(n : 0 .. NODES - 1);
            if :: closes[epoch + 1] = false :: closes[epoch + 1] = true fi;
            owner[epoch + 1] = n;
            epoch = epoch + 1
        }
    :: epoch == EPOCHS -> break
    od
}

/* The owner of one epoch. It exists from the moment its epoch is durable, and can be late for everything. */
proctype Maintainer(byte e) {
    byte n, generation, left;
    bool ok, reached[NODES];

    epoch >= e;
    for (n : 0 .. NODES - 1) {
        if
        :: atomic {                                   /* Bootstrap, or Close, reaches node n */
            admit_bootstrap(n, e, ok);
            if
            :: ok ->
                assert(e >= highest[n]);
                seen[n] = e; highest[n] = e; reached[n] = true;
                if
                :: closes[e] -> wanted[n] = false; claimed[n] = false;
#ifdef BUG_NO_TOMBSTONE
                    seen[n] = 0
#else
                    tombstone[n] = e
#endif
                :: !closes[e] && wanted[n] -> my_epoch[n] = e      /* goes on at the new epoch without stopping */
                :: else
                fi
            :: !ok -> goto stale
            fi
           }
        :: skip                                       /* node n cannot be reached */
        fi
    }

    atomic {                                          /* the fence row waits for the lock, or kills its holder */
        if
        :: locker == NOBODY
        :: locker != NOBODY && my_epoch[locker] < e -> locker = NOBODY
        fi;
        if
        :: fence > e -> goto stale
        :: fence <= e -> raise(e); promised = e
        fi
    }
    if :: closes[e] -> goto stale :: !closes[e] fi;

    left = PLACEMENTS;
    do
    :: left == 0 -> break
    :: left > 0 -> left--;                            /* place, or place again after a wrong suspicion */
        select(n : 0 .. NODES - 1);
        atomic {
            generation++;
            if
            :: reached[n] && seen[n] == e && tombstone[n] < e && !(wanted[n] && my_epoch[n] == e) ->
                wanted[n] = true; claimed[n] = false;
                my_epoch[n] = e; my_generation[n] = generation
            :: else
            fi
        }
    od;
stale:
    skip
}

/* The dispatcher of node n: claim, then one transaction after the other. */
active [NODES] proctype Dispatcher() {
    byte n = _pid - 1;                                /* the coordinator is process 0 */
    byte tx_epoch, tx_position;
end:
    do
    :: wanted[n] && !claimed[n] ->
        atomic {                                      /* a frozen writer that holds the row is killed */
            if
            :: locker == NOBODY
            :: locker != NOBODY && locker != n -> locker = NOBODY
            fi;
            if
            :: fence <= my_epoch[n] && may_claim(n) ->
                row_epoch = my_epoch[n]; row_generation = my_generation[n];
                row_session = n; recorded[n] = my_epoch[n]; position[n] = row_position;
                claimed[n] = true
            :: else -> wanted[n] = false              /* fenced: reports it and stops */
            fi
        }
    :: wanted[n] && claimed[n] && position[n] < ROWS && locker == NOBODY ->
        atomic {                                      /* BEGIN; lock and check the fence; update the progress row */
            if
            :: wanted[n] && claimed[n] && locker == NOBODY ->
                tx_epoch = my_epoch[n]; tx_position = position[n];
                if
                :: fence <= tx_epoch && row_is_mine(n) -> locker = n
                :: else -> wanted[n] = false; claimed[n] = false; goto again
                fi
            :: else -> goto again
            fi
        }
        atomic {                                      /* COMMIT, if the transaction was not killed meanwhile */
            if
            :: locker == n ->
                assert(tx_epoch >= promised);
                assert(applied[tx_position] == 0);
                applied[tx_position]++;
                locker = NOBODY;
#ifndef BUG_PROGRESS_SEPARATE
                row_epoch = tx_epoch; recorded[n] = tx_epoch; row_position = tx_position + 1;
#endif
                position[n] = tx_position + 1
            :: else -> claimed[n] = false             /* the session is gone: claim again */
            fi
        }
#ifdef BUG_PROGRESS_SEPARATE
        row_position = tx_position + 1
#endif
again:
        skip
    od
}

init {
    byte e;
    for (e : 1 .. EPOCHS) { run Maintainer(e) }
}

