/* `collect` and `sift_places`, as in places.py: registered keys at the places of markers. */

#pragma once

#include "sieve.h"

enum { NEIGHBOURS = 8, DEEPEST = 64, MOST = 1 << 16, LEAVES = 256, CATCH_ALL = 3, SET = 256, EXPRESSION = 16, END = 30, MANY = 4096, PLENTY = 256 };
static const uint64_t PLACE = (uint64_t)1 << 60;

/* Take down what hyperscan found: called for each match, so without any Python. */
static PyObject *fast_collect(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 5 || !PyByteArray_Check(args[4]) || PyByteArray_Size(args[4]) < 8) {
        PyErr_SetString(PyExc_TypeError, "an expression, where it begins and ends, flags, and hits with a number of them");
        return NULL;
    }
    uint64_t expression = PyLong_AsUnsignedLongLong(args[0]), room;
    if (PyErr_Occurred()) return NULL;
    uint64_t hit = PyLong_AsUnsignedLongLong(args[1]) << EXPRESSION | expression;
    Py_ssize_t size = PyByteArray_Size(args[4]);
    if (PyErr_Occurred() || PyByteArray_Resize(args[4], size + 8) < 0) return NULL;
    char *hits = PyByteArray_AsString(args[4]);
    memcpy(&room, hits, 8);
    memcpy(hits + size, &hit, 8);
    return PyBool_FromLong((uint64_t)size / 8 > room);
}

typedef struct {
    uint32_t set, least, most, is_open, after, rank;
} Node;

typedef struct {
    uint32_t first, last, has_others, reach;
} Tree;

typedef struct {
    uint32_t rank, low, high; /* from where its strings begin */
} Leaf;

/* What begins at one place. */
typedef struct {
    Py_ssize_t start;
    size_t leaf, last; /* its leaves, and behind them */
    size_t next;       /* the first hit of the next place */
    Py_ssize_t joint;  /* the first one behind it */
    bool is_cut;
    Py_ssize_t least;  /* characters of what was not read before lines were joined */
    bool is_line; /* what a narrower format takes goes up to a line's end: a catch-all goes on into the next */
    bool has_shorter, has_any; /* strings to read beside the longest; and if catch-alls had them behind lines, too */
} Begun;

typedef struct {
    Sift *sift;
    Py_ssize_t size;
    uint64_t *given; /* hits, as they were found */
    uint64_t *hits;  /* where strings begin */
    size_t given_count, hit_count, hit_room, set_count, node_count, tree_count;
    const uint8_t *sets;
    const Node *nodes;
    const Tree *trees;
    Span *runs; /* of each node, where characters of its set stand that were met last: as places rise each is met once */
    Leaf *leaves;
    size_t leaf_count, leaf_room;
    Begun *begun;
    size_t begun_count, begun_room;
    Begun *at; /* the one that is found or read now */
    Span ends[LEAVES + 2 * NEIGHBOURS]; /* from which to which, both included */
    size_t end_count;
    Message waiting; /* of a string, and its token: two are digested at once */
    size_t waiting_token;
    bool is_waiting;
    Py_ssize_t joint;           /* the first one behind where leaves are found */
    Py_ssize_t places, further; /* that are left: places that have shorter strings, and room for these */
    Py_ssize_t any;             /* places that have any, all told */
    Py_ssize_t looked, spent, skipped;
} Places;

/* Whether the tables can be walked. */
static bool is_whole(const Places *p)
{
    size_t outer[DEEPEST], depth = 0, open = 0; /* behind what stands each node among which this one is, and an open one */
    for (size_t n = 0; n < p->node_count; n++) {
        const Node *node = p->nodes + n;
        while (depth > 0 && outer[depth - 1] <= n) depth--;
        if (depth == DEEPEST || (depth > 0 && node->after > outer[depth - 1])) return false;
        outer[depth++] = node->after;
        bool is_counted = node->least > 0 && node->least <= node->most && node->most <= MOST;
        bool leads_on = node->is_open <= 1 && node->after > n && node->after <= p->node_count;
        bool is_within = node->is_open && n < open; /* another open one: all ways through both would be too many */
        if (!is_counted || !leads_on || is_within || node->set >= p->set_count || node->rank > CATCH_ALL) return false;
        if (node->is_open) open = node->after;
    }
    for (size_t t = 0; t < p->tree_count; t++) {
        const Tree *tree = p->trees + t;
        if (tree->last > p->node_count || tree->has_others > 1 || tree->reach > MOST) return false;
    }
    return true;
}

static Py_ssize_t start_of(uint64_t hit) { return (Py_ssize_t)(hit >> EXPRESSION); }

static size_t expression_of(uint64_t hit) { return (size_t)(hit & (((uint64_t)1 << EXPRESSION) - 1)); }

static int by_number(const void *one, const void *other)
{
    uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
    return (a > b) - (a < b);
}

/* Put hits in order, which they nearly are. */
static void order(uint64_t *hits, size_t count)
{
    bool is_ordered = true;
    for (size_t at = 1; at < count; at++) is_ordered &= hits[at - 1] <= hits[at];
    if (!is_ordered) qsort(hits, count, sizeof *hits, by_number);
}

/* Whether the hits lie in the text, and are of some tree. */
static bool are_somewhere(const Places *p)
{
    for (size_t at = 0; at < p->given_count; at++)
        if (start_of(p->given[at]) > p->size || expression_of(p->given[at]) >= p->tree_count) return false;
    return true;
}

/* Where characters of a node's set end that stand from some place on. */
static Py_ssize_t end_of_set(const Places *p, size_t number, Py_ssize_t at)
{
    const Node *node = p->nodes + number;
    const uint8_t *data = p->sift->data, *set = p->sets + (size_t)SET * node->set;
    if (node->most == 1) return at + (at < p->size && set[data[at]]);
    Span *run = p->runs + number;
    Py_ssize_t last = p->size - at < node->most ? p->size : at + node->most;
    if (at < run->start || at >= run->end) *run = (Span){at, at};
    while (run->end < last && set[data[run->end]]) run->end++;
    return run->end < last ? run->end : last;
}

/* Add a leaf. Those from `open` on are of one open node: with the last of them it is one where they overlap. */
static void add_leaf(Places *p, Leaf leaf, size_t open)
{
    Leaf *last = p->leaf_count > open ? p->leaves + p->leaf_count - 1 : NULL;
    if (p->at->is_cut) return;
    if (last != NULL && last->rank == leaf.rank && leaf.low <= last->high + 1 && last->low <= leaf.high + 1) {
        last->low = leaf.low < last->low ? leaf.low : last->low;
        last->high = leaf.high > last->high ? leaf.high : last->high;
    } else if (p->leaf_count - p->at->leaf == LEAVES) {
        p->at->is_cut = true;
    } else {
        Leaf *leaves = with_room(p->sift, p->leaves, p->leaf_count, &p->leaf_room, sizeof *leaves);
        if (leaves == NULL) return;
        p->leaves = leaves;
        leaves[p->leaf_count++] = leaf;
    }
}

/* Walk nodes that begin at a place, and what follows them. */
static void walk_on(Places *p, Py_ssize_t start, size_t number, size_t last, size_t open)
{
    for (; number < last; number = p->nodes[number].after) {
        const Node *node = p->nodes + number;
        Py_ssize_t end = end_of_set(p, number, start), least = start + node->least;
        if (end < least) continue;
        if (node->rank) add_leaf(p, (Leaf){node->rank, (uint32_t)(least - p->at->start), (uint32_t)(end - p->at->start)}, open);
        if (number + 1 == node->after) continue;
        size_t begun = node->is_open ? p->leaf_count : open;
        for (Py_ssize_t at = node->is_open ? least : end; at <= end; at++) walk_on(p, at, number + 1, node->after, begun);
    }
}

/* Walk the tree of an expression. */
static void walk(Places *p, Py_ssize_t start, const Tree *tree) { walk_on(p, start, tree->first, tree->last, SIZE_MAX); }

static bool begins(Places *p, Py_ssize_t start, const Tree *tree)
{
    Begun place = {.start = start};
    p->at = &place;
    p->leaf_count = 0;
    walk(p, start, tree);
    p->at = NULL;
    return p->leaf_count > 0;
}

static bool add_hit(Places *p, uint64_t hit)
{
    uint64_t *hits = with_room(p->sift, p->hits, p->hit_count, &p->hit_room, sizeof *hits);
    if (hits == NULL) return false;
    p->hits = hits;
    hits[p->hit_count++] = hit;
    return true;
}

/* Add where strings begin that were found by what stands in them: each place once, so what is walked rises. */
static void reach_back(Places *p, size_t expression)
{
    const Tree *tree = p->trees + expression;
    Py_ssize_t start = 0;
    for (size_t number = 0; number < p->given_count; number++) {
        Py_ssize_t at = start_of(p->given[number]), first = at - (Py_ssize_t)tree->reach;
        if (expression_of(p->given[number]) != expression) continue;
        for (start = first > start ? first : start; start < at; start++)
            if (begins(p, start, tree) && !add_hit(p, (uint64_t)start << EXPRESSION | expression)) return;
    }
}

/* Find where strings begin, in order. */
static void find_places(Places *p)
{
    for (size_t at = 0; at < p->given_count; at++)
        if (!p->trees[expression_of(p->given[at])].reach && !add_hit(p, p->given[at])) return;
    for (size_t expression = 0; expression < p->tree_count; expression++)
        if (p->trees[expression].reach) reach_back(p, expression);
    order(p->hits, p->hit_count);
}

/* Whether lines were joined at a place, before which no joint has a lower number: most stand before the first. */
static bool is_joint(const Joints *joints, Py_ssize_t first, Py_ssize_t place)
{
    if (first == joints->count || (Py_ssize_t)joints->at[first] > place) return false;
    Py_ssize_t number = joints_before(joints, place);
    return number < joints->count && (Py_ssize_t)joints->at[number] == place;
}

/* Find the first joint behind the place, and from which end on strings were not read before lines were joined. */
static void find_joint(Places *p)
{
    const Joints *joints = &p->sift->joints;
    while (p->joint < joints->count && (Py_ssize_t)joints->at[p->joint] <= p->at->start) p->joint++;
    Py_ssize_t joint = p->joint < joints->count ? (Py_ssize_t)joints->at[p->joint] - p->at->start : p->size;
    p->at->joint = p->joint;
    p->at->least = p->at->start < p->sift->lines ? joint + 1 : 0;
}

/* Leave catch-alls out if narrower formats take as much, and of the lines what was read before they were joined. */
static void leave_out(Places *p)
{
    Py_ssize_t least = p->at->least, taken = 0;
    size_t kept = p->at->leaf;
    for (size_t at = p->at->leaf; at < p->leaf_count; at++)
        if (p->leaves[at].rank < CATCH_ALL && p->leaves[at].high > taken) taken = p->leaves[at].high;
    for (size_t at = p->at->leaf; at < p->leaf_count; at++) {
        Leaf leaf = p->leaves[at];
        if (leaf.high >= least && (leaf.rank < CATCH_ALL || leaf.high > taken)) p->leaves[kept++] = leaf;
    }
    p->at->last = p->leaf_count = kept;
    p->at->is_line = taken > 0 && is_joint(&p->sift->joints, p->at->joint, p->at->start + taken);
}

/* How many strings of a leaf are shorter than the longest, and were not read before. */
static Py_ssize_t shorter_ones(const Begun *place, const Leaf *leaf)
{
    return leaf->high - (leaf->low < place->least ? place->least : (Py_ssize_t)leaf->low);
}

/* The same, as far as they are wanted. */
static Py_ssize_t wanted(const Begun *place, const Leaf *leaf) { return place->is_line && leaf->rank == CATCH_ALL ? 0 : shorter_ones(place, leaf); }

/* Find what begins at the place of a hit, the first one there; return the first of the next place. */
static const uint64_t *find_leaves(Places *p, const uint64_t *hit)
{
    Begun place = {.start = start_of(*hit), .leaf = p->leaf_count};
    p->at = &place;
    for (const uint64_t *first = hit; hit < p->hits + p->hit_count && start_of(*hit) == place.start; hit++)
        if (hit == first || hit[0] != hit[-1]) walk(p, place.start, p->trees + expression_of(*hit));
    find_joint(p);
    leave_out(p);
    p->at = NULL;
    for (const Leaf *leaf = p->leaves + place.leaf; leaf < p->leaves + place.last; leaf++) {
        place.has_shorter |= wanted(&place, leaf) > 0;
        place.has_any |= shorter_ones(&place, leaf) > 0;
    }
    place.next = (size_t)(hit - p->hits);
    Begun *begun = place.last > place.leaf ? with_room(p->sift, p->begun, p->begun_count, &p->begun_room, sizeof *begun) : NULL;
    if (begun == NULL) return hit;
    p->begun = begun;
    begun[p->begun_count++] = place;
    p->places += place.has_shorter;
    p->any += place.has_any;
    return hit;
}

/* Where there is plenty of room, let catch-alls have shorter strings behind lines, too. */
static void want_more(Places *p)
{
    if (p->any == 0 || p->further / p->any < PLENTY) return;
    p->places = p->any;
    for (Begun *place = p->begun; place < p->begun + p->begun_count; place++) {
        place->is_line = false;
        place->has_shorter = place->has_any;
    }
}

static void add_neighbour(Places *p, Py_ssize_t place)
{
    bool is_end = false;
    Py_ssize_t end = place - p->at->start; /* it may be before the first joint: that a key begins there may show only now */
    for (size_t at = p->at->leaf; at < p->at->last; at++) is_end |= p->leaves[at].low <= end && end <= p->leaves[at].high;
    if (is_end) p->ends[p->end_count++] = (Span){place, place};
}

/* Choose which strings are read: the longest, those that end where another key begins, and narrower formats' first.
   Return how many there are beside those that are always read. */
static Py_ssize_t choose(Places *p, Py_ssize_t room)
{
    const Begun *place = p->at;
    const Joints *joints = &p->sift->joints;
    const uint64_t *hit = p->hits + place->next;
    Py_ssize_t left = room, before = place->start;
    p->end_count = 0;
    for (int count = 0; count < NEIGHBOURS && hit < p->hits + p->hit_count; hit++) {
        if (start_of(*hit) == before) continue;
        add_neighbour(p, before = start_of(*hit));
        count++;
    }
    for (Py_ssize_t joint = place->joint; joint < place->joint + NEIGHBOURS && joint < joints->count; joint++)
        if ((Py_ssize_t)joints->at[joint] - place->start >= place->least) add_neighbour(p, (Py_ssize_t)joints->at[joint]);
    for (uint32_t rank = 1; rank <= CATCH_ALL; rank++)
        for (const Leaf *leaf = p->leaves + place->leaf; leaf < p->leaves + place->last; leaf++) {
            if (leaf->rank != rank) continue;
            Py_ssize_t every = wanted(place, leaf), shorter = every < left ? every : left, high = place->start + leaf->high;
            p->at->is_cut |= shorter < every;
            left -= shorter;
            p->ends[p->end_count++] = (Span){high - shorter, high};
        }
    return room - left;
}

/* Put the ends in order: they are few. */
static void order_ends(Places *p)
{
    for (size_t at = 1; at < p->end_count; at++) {
        Span end = p->ends[at];
        size_t to = at;
        for (; to > 0; to--) {
            Span before = p->ends[to - 1];
            if (before.start < end.start || (before.start == end.start && before.end <= end.end)) break;
            p->ends[to] = before;
        }
        p->ends[to] = end;
    }
}

/* What a place is remembered by: all its bytes, and where strings end among them. */
static uint64_t mark_of_place(const Places *p, Py_ssize_t start)
{
    Span all = {start, start};
    for (size_t at = 0; at < p->end_count; at++)
        if (p->ends[at].end > all.end) all.end = p->ends[at].end;
    uint64_t mark = polynomial(p->sift, PLACE | (uint64_t)(all.end - start), all);
    for (size_t at = 0; at < p->end_count; at++)
        mark = advanced(p->sift, mark, (uint64_t)(p->ends[at].start - start) << END | (uint64_t)(p->ends[at].end - start));
    return whole(advanced(p->sift, mark, p->end_count)); /* else those that differ in the last alone had one place */
}

/* A string of a place in turn, and the digest of what it begins with. */
typedef struct {
    State state;
    Py_ssize_t start, done, end; /* of the place, of what is digested, of the string */
    size_t at;                   /* the ends among which it is */
} String;

/* Go on to the next string: longer ones follow shorter ones, so each begins as the one before did. */
static bool next_string(const Places *p, String *string, Message *message)
{
    while (string->at < p->end_count && string->end >= p->ends[string->at].end) string->at++;
    if (string->at == p->end_count) return false;
    Py_ssize_t low = p->ends[string->at].start;
    string->end = string->end < low ? low : string->end + 1;
    for (; string->end - string->done >= 64; string->done += 64) compress(&string->state, p->sift->data + string->done);
    begin_message(message, string->state, p->sift->data + string->done, (size_t)(string->end - string->done),
                  (size_t)(string->done - string->start));
    return true;
}

/* Digest a string with the one that waits, or let it wait. */
static void digest_string(Places *p, Message *message, size_t token)
{
    uint64_t numbers[2];
    p->is_waiting = !p->is_waiting;
    if (p->is_waiting) {
        p->waiting = *message;
        p->waiting_token = token;
        return;
    }
    keyed_both(&p->sift->known, &p->waiting, message, &numbers[0], &numbers[1]);
    number(p->sift, p->sift->tokens + p->waiting_token, numbers[0]);
    number(p->sift, p->sift->tokens + token, numbers[1]);
}

/* Digest the strings of the place that is being read. */
static void ask_ends(Places *p)
{
    Sift *sift = p->sift;
    String string = {BEGINNING, p->at->start, p->at->start, -1, 0};
    Message message;
    while (next_string(p, &string, &message)) {
        Token *tokens = with_room(sift, sift->tokens, sift->token_count, &sift->token_room, sizeof *tokens);
        if (tokens == NULL) return;
        sift->tokens = tokens;
        tokens[sift->token_count] = (Token){{p->at->start, string.end}, 0, sift->run};
        digest_string(p, &message, sift->token_count++);
        p->looked++;
    }
}

static void settle_places(Places *p)
{
    Message none;
    if (p->is_waiting) {
        begin_message(&none, BEGINNING, p->sift->data, 0, 0);
        keyed_both(&p->sift->known, &p->waiting, &none, &p->sift->tokens[p->waiting_token].number, &(uint64_t){0});
    }
    p->is_waiting = false;
    settle(p->sift, p->sift->runs, p->sift->runs + p->sift->waiting);
    p->sift->waiting = 0;
}

/* Read all strings at a place, unless nothing was found in the same before. */
static void read_place(Places *p, Py_ssize_t room)
{
    Sift *sift = p->sift;
    Py_ssize_t start = p->at->start, further = choose(p, room);
    p->skipped += p->at->is_cut;
    order_ends(p);
    uint64_t mark = mark_of_place(p, start), *place = sift->seen + mark % sift->places;
    if (sift->waiting == TOGETHER || sift->token_count >= MANY || is_among(sift, sift->runs, sift->runs + sift->waiting, place))
        settle_places(p);
    if (__atomic_load_n(place, __ATOMIC_RELAXED) == mark) return;
    p->further -= further;
    p->spent += further;
    Run *run = sift->runs + sift->waiting++;
    *run = (Run){.span = {start, start}, .mark = mark, .place = place};
    look_at(sift, run);
    ask_ends(p);
}

static void read_all(Places *p)
{
    find_places(p);
    p->leaf_count = 0;
    for (const uint64_t *hit = p->hits; hit < p->hits + p->hit_count;) hit = find_leaves(p, hit);
    want_more(p);
    for (p->at = p->begun; p->at < p->begun + p->begun_count && !p->sift->out_of_memory; p->at++)
        read_place(p, p->at->has_shorter ? p->further / p->places-- : 0);
    settle_places(p);
}

/* The hits of expressions that have other formats too. */
static PyObject *others_of(const Places *p)
{
    PyObject *others = PyList_New(0);
    for (size_t at = 0; others != NULL && at < p->given_count; at++) {
        size_t expression = expression_of(p->given[at]);
        if (!p->trees[expression].has_others) continue;
        if (!append(others, Py_BuildValue("(nn)", start_of(p->given[at]), (Py_ssize_t)expression))) Py_CLEAR(others);
    }
    return others;
}

static PyObject *sifted_places(Places *p)
{
    if (p->size < ALONE) {
        read_all(p);
    } else {
        Py_BEGIN_ALLOW_THREADS
        read_all(p);
        Py_END_ALLOW_THREADS
    }
    PyObject *spans = p->sift->out_of_memory ? PyErr_NoMemory() : spans_of(p->sift->found, p->sift->found_count);
    PyObject *others = spans ? others_of(p) : NULL;
    if (others != NULL) return Py_BuildValue("(NnnnN)", spans, p->looked, p->spent, p->skipped, others);
    Py_XDECREF(spans);
    return NULL;
}

enum { SETS = VIEWS, NODES, TREES, JOINTS, ALL_VIEWS };

/* Read what places.Forms holds, and the hits behind their number. */
static bool read_forms(const Py_buffer v[ALL_VIEWS], const Py_buffer *hits, Places *p)
{
    p->given = (uint64_t *)hits->buf + 1;
    p->given_count = (size_t)hits->len / 8 - 1;
    p->sets = v[SETS].buf;
    p->set_count = (size_t)v[SETS].len / SET;
    p->nodes = v[NODES].buf;
    p->node_count = (size_t)v[NODES].len / sizeof *p->nodes;
    p->trees = v[TREES].buf;
    p->tree_count = (size_t)v[TREES].len / sizeof *p->trees;
    bool is_even = v[SETS].len % SET == 0 && v[NODES].len % (Py_ssize_t)sizeof *p->nodes == 0 && v[TREES].len % (Py_ssize_t)sizeof *p->trees == 0;
    if (hits->len >= 8 && hits->len % 8 == 0 && is_even && is_whole(p) && are_somewhere(p)) {
        order(p->given, p->given_count);
        return true;
    }
    PyErr_SetString(PyExc_ValueError, "forms are whole trees, hits lie in the text and are of some tree");
    return false;
}

static PyObject *fast_sift_places(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer data, hits, seen, v[ALL_VIEWS];
    Py_ssize_t further, lines;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*w*y*n(y*y*y*)(y*y*y*y*)w*n", &data, &hits, &v[JOINTS], &lines, &v[SETS], &v[NODES], &v[TREES], &v[PADS],
                          &v[ORDERED], &v[STARTS], &v[LOOSE], &seen, &further))
        return NULL;
    Sift *sift = calloc(1, sizeof *sift);
    Places *p = calloc(1, sizeof *p);
    Span *runs = calloc((size_t)v[NODES].len / sizeof(Node) + 1, sizeof *runs);
    if (sift == NULL || p == NULL || runs == NULL) {
        PyErr_NoMemory();
    } else if (sift_of(sift, &data, &v[JOINTS], lines, v, &seen)) {
        p->sift = sift;
        p->size = data.len;
        p->runs = runs;
        p->further = further > 0 ? further : 0;
        if (read_forms(v, &hits, p)) result = sifted_places(p);
    }
    if (sift != NULL) {
        free(sift->found);
        free(sift->tokens);
    }
    if (p != NULL) {
        free(p->hits);
        free(p->leaves);
        free(p->begun);
    }
    free(runs);
    free(p);
    free(sift);
    PyBuffer_Release(&data);
    PyBuffer_Release(&hits);
    PyBuffer_Release(&seen);
    release(v, ALL_VIEWS);
    return result;
}
