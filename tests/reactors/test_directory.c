/* Finding reactors in the directory that is compiled into the library, and what KOLK_REACTOR may choose.
 *
 * This program has its own copy of the registry, whose directory is the one where the modules of the tests are built. */
#define _GNU_SOURCE
#include <kolk/registry.h>
#include <kolk/selector.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *program;

static const char *const builtins[] = {
#ifdef KOLK_BUILTIN_EPOLL
    "epoll",
#endif
#ifdef KOLK_BUILTIN_POLL
    "poll",
#endif
#ifdef KOLK_BUILTIN_SELECT
    "select",
#endif
};

enum { BUILTINS = sizeof builtins / sizeof *builtins };

static int is_loaded(const char *file) {
    char line[8192];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        found |= strstr(line, file) != NULL;
    fclose(maps);
    return found;
}

/* Fails to find a name with this status, this word in the reason, and nothing left loaded. */
static void assert_not_found(const char *name, int status, const char *reason) {
    const kolk_reactor_ops *ops = NULL;
    kolk_error *error = NULL;
    char file[128];
    snprintf(file, sizeof file, "kolk-reactor-%s.so", name);
    assert_int_equal(kolk_reactor_find(name, &ops, &error), status);
    int said = strstr(kolk_error_message(error), reason) != NULL;
    if (!said)
        print_error("\"%s\" does not say \"%s\"\n", kolk_error_message(error), reason);
    kolk_error_unref(error);
    assert_true(said);
    assert_null(ops);
    assert_false(is_loaded(file));
}

/* A loaded module is found by the name of its file. */
static void module_is_found_by_name(void **state) {
    (void)state;
    const kolk_reactor_ops *ops, *again;
    assert_int_equal(kolk_reactor_find("nothing", &ops, NULL), 0);
    assert_string_equal(ops->name, "nothing");
    assert_int_equal(kolk_reactor_find("nothing", &again, NULL), 0);
    assert_ptr_equal(ops, again);
}

/* A module must be called what its file is called: else a name would give something else than asked for. */
static void misnamed_module_is_refused(void **state) {
    (void)state;
    assert_not_found("misnamed", KOLK_EPLUGIN, "is called 'othername'");
}

/* A broken module is another failure than a missing one. */
static void broken_module_is_told_from_a_missing_one(void **state) {
    (void)state;
    assert_not_found("newer-abi", KOLK_EPLUGIN, "version 2");
    assert_not_found("undefined-symbol", KOLK_EPLUGIN, "kolk_test_no_such_function");
    assert_not_found("missing", KOLK_ENOENT, "there is no reactor 'missing'");
}

/* Listing has the built-in ones first, then the modules by name; what is broken or does not open here is left out. */
static void names_are_those_that_open(void **state) {
    (void)state;
    const char *names[64];
    assert_int_equal(kolk_reactor_names(names, 64), BUILTINS + 2);
    for (int i = 0; i < BUILTINS; i++)
        assert_string_equal(names[i], builtins[i]);
    assert_string_equal(names[BUILTINS], "another");
    assert_string_equal(names[BUILTINS + 1], "nothing");
    assert_false(is_loaded("kolk-reactor-no-open.so"));
}

/* One that does not open here can still be found: opening it says why. */
static void unusable_reactor_says_why(void **state) {
    (void)state;
    kolk_selector *selector = NULL;
    kolk_error *error = NULL;
    assert_int_equal(kolk_selector_new("unusable", &selector, &error), KOLK_ENOTSUP);
    assert_non_null(strstr(kolk_error_message(error), "unusable"));
    kolk_error_unref(error);
    assert_null(selector);
}

/* Makes a selector without naming a reactor. Returns its status, and in words what it got or why not. */
static int make_default(const char *variable, char *ret_text, size_t room) {
    kolk_selector *selector = NULL;
    kolk_error *error = NULL;
    if (variable)
        setenv("KOLK_REACTOR", variable, 1);
    int status = kolk_selector_new(NULL, &selector, &error);
    unsetenv("KOLK_REACTOR");
    snprintf(ret_text, room, "%s", status < 0 ? kolk_error_message(error) : kolk_selector_reactor(selector));
    kolk_error_unref(error);
    kolk_selector_destroy(selector);
    return status;
}

/* Without the variable, or with an empty one, the default is the first that opens. */
static void default_is_the_first(void **state) {
    (void)state;
    char text[512];
    assert_int_equal(make_default(NULL, text, sizeof text), 0);
    assert_string_equal(text, builtins[0]);
    assert_int_equal(make_default("", text, sizeof text), 0);
    assert_string_equal(text, builtins[0]);
}

/* KOLK_REACTOR chooses among all there are, also modules. */
static void environment_chooses(void **state) {
    (void)state;
    char text[512];
    for (int i = 0; i < BUILTINS; i++) {
        assert_int_equal(make_default(builtins[i], text, sizeof text), 0);
        assert_string_equal(text, builtins[i]);
    }
    assert_int_equal(make_default("nothing", text, sizeof text), 0);
    assert_string_equal(text, "nothing");
}

/* A value that names none is an error with the variable, the value and what there is; never another reactor instead. */
static void unknown_value_is_an_error(void **state) {
    (void)state;
    char text[512];
    assert_int_equal(make_default("kqueue", text, sizeof text), KOLK_ENOENT);
    assert_non_null(strstr(text, "KOLK_REACTOR"));
    assert_non_null(strstr(text, "'kqueue'"));
    assert_non_null(strstr(text, builtins[0]));
    assert_non_null(strstr(text, "nothing"));
    assert_int_equal(make_default("newer-abi", text, sizeof text), KOLK_EPLUGIN);
}

/* It names, and is never a path. */
static void environment_cannot_name_a_file(void **state) {
    (void)state;
    char text[512];
    assert_int_equal(make_default("/tmp/kolk-reactor-poll.so", text, sizeof text), KOLK_EINVAL);
    assert_int_equal(make_default("../nothing", text, sizeof text), KOLK_EINVAL);
    assert_non_null(strstr(text, "KOLK_REACTOR"));
}

/* A reactor named by the program wins. */
static void the_program_wins(void **state) {
    (void)state;
    kolk_selector *selector = NULL;
    setenv("KOLK_REACTOR", "nothing", 1);
    int status = kolk_selector_new(builtins[BUILTINS - 1], &selector, NULL);
    unsetenv("KOLK_REACTOR");
    assert_int_equal(status, 0);
    assert_string_equal(kolk_selector_reactor(selector), builtins[BUILTINS - 1]);
    kolk_selector_destroy(selector);
}

/* In a program that runs with more rights than its caller the variable is ignored. Only root can make such a program here. */
static void privileged_program_ignores_environment(void **state) {
    (void)state;
    char copy[4096], command[16384], line[512] = "";
    snprintf(copy, sizeof copy, "%s-XXXXXX", program); /* not in /tmp, where such programs may have no rights */
    int fd = mkstemp(copy);
    assert_true(fd >= 0);
    close(fd);
    snprintf(command, sizeof command, "cat '%s' > '%s' && chown 65534 '%s' && chmod 4755 '%s'", program, copy, copy, copy);
    int made = system(command);
    snprintf(command, sizeof command, "KOLK_REACTOR=nothing '%s' default", copy);
    FILE *output = popen(command, "r");
    assert_non_null(output);
    if (!fgets(line, sizeof line, output))
        line[0] = '\0';
    pclose(output);
    unlink(copy);
    assert_int_equal(made, 0);
    line[strcspn(line, "\n")] = '\0';
    assert_string_equal(line, builtins[0]);
}

int main(int argc, char **argv) {
    program = argv[0];
    if (argc == 2 && strcmp(argv[1], "default") == 0) {
        kolk_selector *selector = NULL;
        kolk_error *error = NULL;
        int status = kolk_selector_new(NULL, &selector, &error);
        puts(status < 0 ? kolk_error_message(error) : kolk_selector_reactor(selector));
        kolk_error_unref(error);
        kolk_selector_destroy(selector);
        fflush(stdout);
        _exit(status < 0); /* a leak checker has no rights to look into a privileged process */
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_module_is_told_from_a_missing_one),
        cmocka_unit_test(misnamed_module_is_refused),
        cmocka_unit_test(names_are_those_that_open),
        cmocka_unit_test(module_is_found_by_name),
        cmocka_unit_test(unusable_reactor_says_why),
        cmocka_unit_test(default_is_the_first),
        cmocka_unit_test(environment_chooses),
        cmocka_unit_test(unknown_value_is_an_error),
        cmocka_unit_test(environment_cannot_name_a_file),
        cmocka_unit_test(the_program_wins),
    };
    const struct CMUnitTest as_root[] = {cmocka_unit_test(privileged_program_ignores_environment)};
    unsetenv("KOLK_REACTOR");
    int failed = cmocka_run_group_tests_name("directory", tests, NULL, NULL);
    if (geteuid() == 0)
        failed += cmocka_run_group_tests_name("directory, as root", as_root, NULL, NULL);
    return failed;
}
