/* Out of memory leaves the table as it was. uthash wants to be told before its header is read. */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(page) ((page)->target = NULL)

#include "frontier.h"

#include <stdlib.h>
#include <string.h>

/* As many redirects in a row as browsers follow. */
static const uint32_t max_redirects = 20;

STAILQ_HEAD(moved, page);

void frontier_init(struct frontier *self, uint32_t max_depth, uint64_t max_pages) {
    *self = (struct frontier){.max_depth = max_depth, .max_pages = max_pages};
    STAILQ_INIT(&self->todo);
}

static void page_free(struct page *page) {
    kolk_error_unref(page->error);
    free(page->links);
    free(page->target);
    free(page);
}

void frontier_finish(struct frontier *self) {
    struct page *page, *next;
    HASH_ITER(hh, self->pages, page, next) {
        HASH_DEL(self->pages, page);
        page_free(page);
    }
}

static struct page *page_new(struct frontier *self, const char *target) {
    struct page *page = calloc(1, sizeof *page);
    char *copy = strdup(target);
    if (!page || !copy) {
        free(page);
        free(copy);
        return NULL;
    }
    page->target = copy;
    page->depth = UINT32_MAX;
    HASH_ADD_KEYPTR(hh, self->pages, page->target, strlen(page->target), page);
    if (!page->target) {
        free(copy);
        free(page);
        return NULL;
    }
    return page;
}

static struct page *find_or_add(struct frontier *self, const char *target) {
    struct page *page = NULL;
    HASH_FIND_STR(self->pages, target, page);
    return page ? page : page_new(self, target);
}

static void move_if_nearer(struct moved *moved, struct page *page, uint32_t depth) {
    if (depth >= page->depth)
        return;
    page->depth = depth;
    if (!page->moved)
        STAILQ_INSERT_TAIL(moved, page, in_moved);
    page->moved = true;
}

static bool is_redirect(const struct page *page) { return page->status >= 300 && page->status < 400; }

/* A list instead of recursion, because a site may be one long chain of pages. */
static void come_nearer(struct frontier *self, struct page *page, uint32_t depth) {
    struct moved moved = STAILQ_HEAD_INITIALIZER(moved);
    move_if_nearer(&moved, page, depth);
    while ((page = STAILQ_FIRST(&moved))) {
        STAILQ_REMOVE_HEAD(&moved, in_moved);
        page->moved = false;
        if (page->state == PAGE_SEEN && page->depth <= self->max_depth) {
            page->state = PAGE_TODO;
            STAILQ_INSERT_TAIL(&self->todo, page, in_todo);
            self->todo_count++;
        }
        for (size_t i = 0; i < page->link_count; i++)
            move_if_nearer(&moved, page->links[i], page->depth + !is_redirect(page));
    }
}

int frontier_start(struct frontier *self, const char *target, struct page **ret_page) {
    struct page *page = find_or_add(self, target);
    if (!page)
        return KOLK_ENOMEM;
    come_nearer(self, page, 0);
    *ret_page = page;
    return 0;
}

static int add_link(struct page *from, struct page *to) {
    if (from->link_count == from->link_capacity) {
        size_t capacity = from->link_capacity ? 2 * from->link_capacity : 8;
        struct page **links = reallocarray(from->links, capacity, sizeof *links);
        if (!links)
            return KOLK_ENOMEM;
        from->links = links;
        from->link_capacity = capacity;
    }
    from->links[from->link_count++] = to;
    return 0;
}

int frontier_link(struct frontier *self, struct page *from, const char *target) {
    struct page *page = find_or_add(self, target);
    if (!page || add_link(from, page) < 0)
        return KOLK_ENOMEM;
    come_nearer(self, page, from->depth + 1);
    return 0;
}

int frontier_redirect(struct frontier *self, struct page *from, const char *target) {
    if (from->redirects == max_redirects)
        return 0;
    struct page *page = find_or_add(self, target);
    if (!page || add_link(from, page) < 0)
        return KOLK_ENOMEM;
    if (page->state == PAGE_SEEN)
        page->redirects = from->redirects + 1;
    come_nearer(self, page, from->depth);
    return 0;
}

bool frontier_has_next(const struct frontier *self) { return self->taken < self->max_pages && !STAILQ_EMPTY(&self->todo); }

struct page *frontier_next(struct frontier *self) {
    struct page *page = STAILQ_FIRST(&self->todo);
    STAILQ_REMOVE_HEAD(&self->todo, in_todo);
    page->state = PAGE_TAKEN;
    self->todo_count--;
    self->taken++;
    return page;
}

void frontier_answered(struct frontier *self, struct page *page, int status, uint64_t bytes, int64_t duration_ns) {
    page->state = PAGE_ANSWERED;
    page->status = status;
    page->bytes = bytes;
    page->duration_ns = duration_ns;
    self->answered++;
    self->bytes += bytes;
}

void frontier_failed(struct frontier *self, struct page *page, kolk_error *error, uint64_t bytes, int64_t duration_ns) {
    page->state = PAGE_FAILED;
    page->error = kolk_error_ref(error);
    page->bytes = bytes;
    page->duration_ns = duration_ns;
    self->failed++;
    self->bytes += bytes;
}
