/* `sift`, as in plain.py: registered keys among the runs of key characters. */

#pragma once

#include "registered.h"

/* Where lines were joined. */
typedef struct {
    const uint64_t *at; /* rising, within the text */
    Py_ssize_t count;
} Joints;

typedef struct {
    Span span;
    Joints joints;         /* within it */
    Py_ssize_t least;      /* so many of them a key goes over … */
    Py_ssize_t most;       /* … and so many characters it has */
    uint64_t mark, *place; /* where among the seen it is remembered */
    bool is_looked_at, has_key;
} Run;

typedef struct {
    Span span;
    uint64_t number;
    Run *run;
} Token;

enum { TOGETHER = 64, ALIKE_PLACES = 256, SLOTS = 1024, CROWDED = SLOTS / 2 };

typedef struct {
    uint16_t start, end; /* in the run */
    uint32_t turn;
} Asked;

typedef struct {
    const uint8_t *data;
    Joints joints;
    Py_ssize_t lines; /* up to there what goes over no joint was looked at before */
    Known known;
    uint64_t point; /* of the polynomial that runs are remembered by */
    uint64_t *seen; /* marks of runs without a registered key, each where it says itself */
    size_t places;
    Py_ssize_t room, skipped; /* for runs, and of them */
    Run runs[TOGETHER];       /* memory is slow: what is looked up in it is asked for early, for many runs together */
    size_t waiting;
    bool unsettled[ALIKE_PLACES]; /* by the last bits of where those are remembered that are looked at */
    Token *tokens;
    size_t token_count, token_room;
    Span *found;
    size_t found_count, found_room;
    bool out_of_memory;
    Asked asked[SLOTS]; /* the same part of a run is cut out in several ways */
    Run *run;
    uint16_t marks[LONGEST]; /* where in the run punctuation stands */
    size_t mark_count;
    uint32_t turn, crowd; /* the run's, counted from one, and how many of its parts are in there */
} Sift;

/* Make room for one more of some items; return where they are now, or NULL. */
static void *with_room(Sift *sift, void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room) return items;
    size_t more = *room ? 2 * *room : 64;
    void *moved = realloc(items, more * size);
    if (moved == NULL) sift->out_of_memory = true;
    else *room = more;
    return moved;
}

static bool is_new(Sift *sift, Span span)
{
    uint16_t start = (uint16_t)(span.start - sift->run->span.start), end = (uint16_t)(span.end - sift->run->span.start);
    size_t slot = (start * 0x9e3779b1u ^ end * 0x85ebca6bu) % SLOTS;
    while (sift->asked[slot].turn == sift->turn) {
        if (sift->asked[slot].start == start && sift->asked[slot].end == end) return false;
        slot = (slot + 1) % SLOTS;
    }
    if (sift->crowd < CROWDED) { /* what is beyond is asked again, and found again: that costs time alone */
        sift->asked[slot] = (Asked){start, end, sift->turn};
        sift->crowd++;
    }
    return true;
}

/* How many joints stand before some place. */
static Py_ssize_t joints_before(const Joints *joints, Py_ssize_t place)
{
    Py_ssize_t low = 0, high = joints->count;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if ((Py_ssize_t)joints->at[middle] < place)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whether a part of a run goes over as many joints as it is to. */
static bool goes_over(const Joints *joints, Span part, Py_ssize_t least)
{
    if (least == 0) return true;
    Py_ssize_t first = joints->count > least ? joints_before(joints, part.start + 1) : 0;
    return first + least <= joints->count && (Py_ssize_t)joints->at[first] > part.start && (Py_ssize_t)joints->at[first + least - 1] < part.end;
}

/* Those within some span: what stands at its start is not. */
static Joints within(const Joints *joints, Span span)
{
    Py_ssize_t first = joints_before(joints, span.start + 1), last = joints_before(joints, span.end);
    return (Joints){joints->at + first, last > first ? last - first : 0};
}

/* Ask whether a part of a run is registered: what comes of it is settled later. */
static void ask(Sift *sift, Py_ssize_t start, Py_ssize_t end)
{
    Span span = {start, end};
    if (end - start < SHORTEST || end - start > sift->run->most || !goes_over(&sift->run->joints, span, sift->run->least) || !is_new(sift, span)) return;
    Token *tokens = with_room(sift, sift->tokens, sift->token_count, &sift->token_room, sizeof *tokens);
    if (tokens == NULL) return;
    sift->tokens = tokens;
    tokens[sift->token_count++] = (Token){span, 0, sift->run};
}

static uint16_t kind_at(const Sift *sift, Py_ssize_t at) { return KIND[sift->data[at]]; }

/* Ask for a part of a run, and for it without the punctuation around it. */
static void ask_edged(Sift *sift, Py_ssize_t start, Py_ssize_t end)
{
    if (end - start < SHORTEST) return; /* nor has it a part that is long enough */
    ask(sift, start, end);
    Py_ssize_t first = start, last = end;
    while (first < end && !(kind_at(sift, first) & PLAIN)) first++;
    while (last > first && !(kind_at(sift, last - 1) & PLAIN)) last--;
    if (first == start && last == end) return;
    Py_ssize_t stripped = end; /* on the right alone, whatever stands on the left */
    while (stripped > start && !(kind_at(sift, stripped - 1) & PLAIN)) stripped--;
    ask(sift, first, end);
    ask(sift, first, last);
    ask(sift, start, stripped);
    if (last < end && kind_at(sift, last) == EQUALS) {
        bool two = last + 1 < end && kind_at(sift, last + 1) == EQUALS;
        ask(sift, first, last + 1 + two);
    }
}

/* How many equals signs after a part of a run are the padding of base64. */
static Py_ssize_t padding(const Sift *sift, Py_ssize_t at, Py_ssize_t end)
{
    Py_ssize_t count = 0;
    while (at + count < end && count < 3 && kind_at(sift, at + count) == EQUALS) count++;
    bool goes_on = at + count < end && kind_at(sift, at + count) & PLAIN;
    return count > 2 || goes_on ? 0 : count;
}

/* Whether a part of the run goes over as many joints as it must, where these parts rise: `over` is the last of as many. */
static bool next_goes_over(const Sift *sift, Span part, Py_ssize_t *over)
{
    const Joints *joints = &sift->run->joints;
    Py_ssize_t before = sift->run->least - 1; /* joints of as many before the last */
    if (before < 0) return true;
    while (*over < joints->count && (Py_ssize_t)joints->at[*over - before] <= part.start) ++*over;
    return *over < joints->count && (Py_ssize_t)joints->at[*over] < part.end;
}

/* Ask for each stretch of a run that has no other punctuation than is kept. */
static void ask_cut(Sift *sift, Span run, uint16_t kept)
{
    Py_ssize_t start = run.start, over = sift->run->least - 1;
    for (size_t number = 0; number <= sift->mark_count; number++) {
        Py_ssize_t end = number < sift->mark_count ? run.start + sift->marks[number] : run.end;
        if (end < run.end && kind_at(sift, end) & kept) continue;
        if (end - start >= SHORTEST) {
            Py_ssize_t last = end + padding(sift, end, run.end);
            if (next_goes_over(sift, (Span){start, last}, &over)) ask_edged(sift, start, last);
        }
        start = end + 1;
    }
}

/* Ask for each stretch between colons, if there are few. */
static void ask_paired(Sift *sift, Span run)
{
    Py_ssize_t starts[PARTS + 1] = {run.start};
    int parts = 1;
    for (size_t number = 0; number < sift->mark_count; number++) {
        Py_ssize_t at = run.start + sift->marks[number];
        if (kind_at(sift, at) != COLON) continue;
        if (parts == PARTS) return;
        starts[parts++] = at + 1;
    }
    starts[parts] = run.end + 1;
    for (int i = 0; i < parts; i++)
        for (int j = i + 1; j <= parts; j++) ask_edged(sift, starts[i], starts[j] - 1);
}

/* Find where in a run punctuation stands; return of which kinds. */
static uint16_t find_marks(Sift *sift, Span run)
{
    uint16_t kinds = 0;
    sift->mark_count = 0;
    for (Py_ssize_t block = run.start; block < run.end; block += BLOCK) {
        uint64_t marks = ~of_block(plain_of_part, sift->data, block, run.end);
        if (run.end - block < BLOCK) marks &= ((uint64_t)1 << (run.end - block)) - 1;
        for (; marks; marks &= marks - 1) {
            Py_ssize_t at = block + __builtin_ctzll(marks);
            kinds |= kind_at(sift, at);
            sift->marks[sift->mark_count++] = (uint16_t)(at - run.start);
        }
    }
    return kinds;
}

/* Ask for every part of a run that could be a whole key. */
static void ask_run(Sift *sift, Span run)
{
    uint16_t punctuation = find_marks(sift, run), ways[WAYS];
    int count = 0;
    if (++sift->turn == 0) { /* after four thousand million runs */
        memset(sift->asked, 0, sizeof sift->asked);
        sift->turn = 1;
    }
    sift->crowd = 0;
    ask_edged(sift, run.start, run.end);
    if (punctuation & COLON) ask_paired(sift, run);
    for (int i = 0; i < WAYS && punctuation; i++) {
        uint16_t kept = KEPT[i] & punctuation;
        bool is_tried = kept == punctuation;
        for (int j = 0; j < count; j++) is_tried |= ways[j] == kept;
        if (is_tried) continue;
        ways[count++] = kept;
        ask_cut(sift, run, kept);
    }
}

static void look_at(Sift *sift, Run *run)
{
    run->is_looked_at = true;
    sift->unsettled[(size_t)(run->place - sift->seen) % ALIKE_PLACES] = true;
    sift->run = run;
}

/* Cut a run into tokens, unless it was seen or there is no room for it. */
static void look(Sift *sift, Run *run)
{
    if (__atomic_load_n(run->place, __ATOMIC_RELAXED) == run->mark) return;
    if (sift->room == 0) {
        sift->skipped++;
        return;
    }
    sift->room--;
    look_at(sift, run);
    ask_run(sift, run->span);
}

/* Let a token have its number, and ask memory early for what it is looked up in. */
static void number(Sift *sift, Token *token, uint64_t number)
{
    token->number = number;
    __builtin_prefetch(sift->known.ordered.starts + beginning_of(&sift->known.ordered, number));
}

static Message message_of(const Sift *sift, const Token *token)
{
    Message message;
    begin_message(&message, BEGINNING, sift->data + token->span.start, (size_t)(token->span.end - token->span.start), 0);
    return message;
}

/* Find the numbers of two tokens, which takes little longer than of one; of one that is left alone. */
static void number_both(Sift *sift, Token *token, Token *other)
{
    Message messages[2] = {message_of(sift, token), message_of(sift, other)};
    uint64_t numbers[2];
    keyed_both(&sift->known, &messages[0], &messages[1], &numbers[0], &numbers[1]);
    number(sift, token, numbers[0]);
    number(sift, other, numbers[1]);
}

/* Find the numbers of all tokens, those together that have as many blocks: none waits for the other. */
static void number_tokens(Sift *sift)
{
    Token *waiting[LONGEST / 64 + 2] = {0}, *end = sift->tokens + sift->token_count, *left = NULL;
    for (Token *token = sift->tokens; token < end; token++) {
        Token **alike = &waiting[(token->span.end - token->span.start + 8) / 64];
        if (*alike) number_both(sift, *alike, token);
        *alike = *alike ? NULL : token;
    }
    for (size_t blocks = 0; blocks < sizeof waiting / sizeof *waiting; blocks++) {
        if (waiting[blocks] == NULL) continue;
        if (left) number_both(sift, left, waiting[blocks]);
        left = left ? NULL : waiting[blocks];
    }
    if (left) number_both(sift, left, left);
}

/* Look all tokens up, and remember in which of some runs there is none that is registered. */
static void settle(Sift *sift, Run *run, const Run *end)
{
    const Table *table = &sift->known.ordered;
    for (size_t at = 0; at < sift->token_count; at++)
        __builtin_prefetch(table->numbers + table->starts[beginning_of(table, sift->tokens[at].number)]);
    for (size_t at = 0; at < sift->token_count; at++) {
        const Token *token = sift->tokens + at;
        if (!is_known(&sift->known, token->number)) continue;
        token->run->has_key = true;
        Span *found = with_room(sift, sift->found, sift->found_count, &sift->found_room, sizeof *found);
        if (found == NULL) break;
        sift->found = found;
        found[sift->found_count++] = token->span;
    }
    sift->token_count = 0;
    memset(sift->unsettled, 0, sizeof sift->unsettled);
    for (; run < end && !sift->out_of_memory; run++)
        if (run->is_looked_at && !run->has_key) __atomic_store_n(run->place, run->mark, __ATOMIC_RELAXED);
}

/* Whether one that is remembered at the same place is among those that are looked at and not settled: most are not even
   alike in the last bits of their places. */
static bool is_among(const Sift *sift, const Run *run, const Run *end, const uint64_t *place)
{
    if (!sift->unsettled[(size_t)(place - sift->seen) % ALIKE_PLACES]) return false;
    for (; run < end; run++)
        if (run->place == place && run->is_looked_at) return true;
    return false;
}

/* Look at all runs that wait. */
static void work_off(Sift *sift)
{
    const Run *end = sift->runs + sift->waiting;
    for (Run *first = sift->runs, *run = first; first < end; first = run) {
        for (; run < end && !is_among(sift, first, run, run->place); run++) look(sift, run);
        number_tokens(sift);
        settle(sift, first, run);
    }
    sift->waiting = 0;
}

enum { PIECE = 7 };
static const uint64_t PRIME = ((uint64_t)1 << 61) - 1;

/* Seven bytes of a run and a zero, as a number; fewer are followed by more zeros. */
static uint64_t piece_at(const uint8_t *at, Py_ssize_t left)
{
    if (left > PIECE) return ((uint64_t)word_at(at) << 32 | word_at(at + 4)) & ~(uint64_t)0xff;
    uint64_t piece = 0;
    for (int i = 0; i < PIECE; i++) piece = (piece | (i < left ? at[i] : 0)) << 8;
    return piece;
}

/* A polynomial with one coefficient more, congruent to it. */
static uint64_t advanced(const Sift *sift, uint64_t mark, uint64_t piece)
{
    unsigned __int128 next = (unsigned __int128)mark * sift->point + piece;
    mark = (uint64_t)(next & PRIME) + (uint64_t)(next >> 61);
    return (mark & PRIME) + (mark >> 61);
}

static uint64_t whole(uint64_t mark) { return mark < PRIME ? mark : mark - PRIME; }

/* What some bytes are remembered by: a polynomial at a point that nobody knows, so that nobody can write two that are one. */
static uint64_t polynomial(const Sift *sift, uint64_t mark, Span run)
{
    for (Py_ssize_t at = run.start; at < run.end; at += PIECE) mark = advanced(sift, mark, piece_at(sift->data + at, run.end - at));
    return mark;
}

/* Of joined lines it is another than of the same text as it stands, in which more is looked for. */
static uint64_t mark_of(const Sift *sift, const Run *run)
{
    uint64_t mark = polynomial(sift, (uint64_t)(run->span.end - run->span.start), run->span);
    if (run->least) mark = advanced(sift, advanced(sift, mark, (uint64_t)run->least), (uint64_t)run->most);
    for (Py_ssize_t at = 0; run->least && at < run->joints.count; at++)
        mark = advanced(sift, mark, run->joints.at[at] - (uint64_t)run->span.start);
    return whole(mark);
}

/* Let a run wait until there are enough of them. */
static void gather(Sift *sift, Span span, Joints joints, Py_ssize_t least, Py_ssize_t most)
{
    Run *run = sift->runs + sift->waiting++;
    *run = (Run){.span = span, .joints = joints, .least = least, .most = most};
    run->mark = mark_of(sift, run);
    run->place = sift->seen + run->mark % sift->places;
    __builtin_prefetch(run->place);
    if (sift->waiting == TOGETHER) work_off(sift);
}

/* Let a run wait, or each window of one that is too long; behind a backslash also without its first letter. */
static void gather_windows(Sift *sift, Span run, Joints joints, Py_ssize_t least)
{
    bool is_long = run.end - run.start > LONGEST;
    Py_ssize_t most = is_long && least > 1 ? OVERLAP : LONGEST;
    for (Span window = {run.start, run.start}; window.end < run.end; window.start += LONGEST - OVERLAP) {
        window.end = run.end - window.start > LONGEST ? window.start + LONGEST : run.end;
        gather(sift, window, is_long ? within(&joints, window) : joints, least, most);
        bool is_escape = window.start > 0 && sift->data[window.start - 1] == '\\';
        Span rest = {window.start + 1, window.end};
        if (is_escape && rest.end - rest.start >= SHORTEST) gather(sift, rest, within(&joints, rest), least, most);
    }
}

/* Where a line of a run begins, or its last one ends. */
static Py_ssize_t edge(Span run, const Joints *joints, Py_ssize_t line)
{
    return line == 0 ? run.start : line <= joints->count ? (Py_ssize_t)joints->at[line - 1] : run.end;
}

/* Whether lines are a list rather than one thing that was broken: many, or several of a length. */
static bool is_list(Span run, const Joints *joints)
{
    Py_ssize_t lines = joints->count + 1, first = edge(run, joints, 1) - run.start;
    if (lines > FEW || lines <= ALIKE) return lines > FEW;
    for (Py_ssize_t line = 1; line < lines; line++)
        if (edge(run, joints, line + 1) - edge(run, joints, line) != first) return false;
    return true;
}

/* Let all lines of a run wait, then any of them that follow one another; in a list each two, and each. */
static void gather_lines(Sift *sift, Span run)
{
    Joints joints = within(&sift->joints, run);
    bool by_two = is_list(run, &joints);
    gather_windows(sift, run, joints, by_two ? 2 : joints.count);
    Py_ssize_t fewest = run.end <= sift->lines ? 2 : 1;
    for (Py_ssize_t several = by_two ? 2 : joints.count; several >= fewest; several--)
        for (Py_ssize_t first = 0; first + several <= joints.count + 1; first++) {
            Span lines = {edge(run, &joints, first), edge(run, &joints, first + several)};
            if (lines.end - lines.start >= SHORTEST) gather_windows(sift, lines, (Joints){joints.at + first, several - 1}, several - 1);
        }
}

static void look_at_all(Sift *sift, Py_ssize_t size)
{
    for (Span run = {0, 0}; next_run(sift->data, run.end, size, &run);) gather_lines(sift, run);
    work_off(sift);
}

/* Append what is given, which may be NULL, and let go of it. */
static bool append(PyObject *list, PyObject *item)
{
    bool is_fine = item != NULL && PyList_Append(list, item) == 0;
    Py_XDECREF(item);
    return is_fine;
}

static PyObject *spans_of(const Span *found, size_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *span = Py_BuildValue("(nn)", found[i].start, found[i].end);
        if (span == NULL) Py_CLEAR(list);
        else PyList_SetItem(list, (Py_ssize_t)i, span);
    }
    return list;
}

static PyObject *sift_all(Sift *sift, Py_ssize_t size, Py_ssize_t room)
{
    sift->room = room;
    if (size < ALONE) {
        look_at_all(sift, size);
    } else {
        Py_BEGIN_ALLOW_THREADS
        look_at_all(sift, size);
        Py_END_ALLOW_THREADS
    }
    PyObject *spans = sift->out_of_memory ? PyErr_NoMemory() : spans_of(sift->found, sift->found_count);
    free(sift->found);
    free(sift->tokens);
    return spans ? Py_BuildValue("(Nnn)", spans, room - sift->room, sift->skipped) : NULL;
}

static bool read_joints(const Py_buffer *given, Py_ssize_t size, Joints *joints)
{
    *joints = (Joints){given->buf, given->len / 8};
    bool rise = given->len % 8 == 0 && (joints->count == 0 || joints->at[joints->count - 1] <= (uint64_t)size);
    for (Py_ssize_t number = 1; rise && number < joints->count; number++) rise = joints->at[number - 1] < joints->at[number];
    if (!rise) PyErr_SetString(PyExc_ValueError, "joints are numbers of eight bytes, which rise and lie in the text");
    return rise;
}

/* Make a sieve ready for some bytes. */
static bool sift_of(Sift *sift, const Py_buffer *data, const Py_buffer *joints, Py_ssize_t lines, const Py_buffer views[VIEWS],
                    const Py_buffer *seen)
{
    if (seen->len < 8 || seen->len % 8) {
        PyErr_SetString(PyExc_ValueError, "what is seen has whole numbers, one at least");
        return false;
    }
    if (!read_known(views, &sift->known) || !read_joints(joints, data->len, &sift->joints)) return false;
    sift->data = data->buf;
    sift->lines = lines;
    sift->seen = seen->buf;
    sift->places = (size_t)seen->len / 8;
    State nothing = digest(sift->known.inner, (const uint8_t *)"", 0, 64);
    sift->point = number_of(&sift->known, &nothing) >> 3; /* of no digest, so it is nowhere */
    return true;
}

static PyObject *fast_sift(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data, seen, joints = {0}, v[VIEWS];
    Py_ssize_t room, lines = 0;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*(y*y*y*y*)w*n|y*n", &data, &v[PADS], &v[ORDERED], &v[STARTS], &v[LOOSE], &seen, &room, &joints, &lines))
        return NULL;
    Sift *sift = calloc(1, sizeof *sift);
    if (sift == NULL) PyErr_NoMemory();
    else if (sift_of(sift, &data, &joints, lines, v, &seen)) result = sift_all(sift, data.len, room);
    free(sift);
    PyBuffer_Release(&data);
    PyBuffer_Release(&seen);
    PyBuffer_Release(&joints);
    release(v, VIEWS);
    return result;
}
