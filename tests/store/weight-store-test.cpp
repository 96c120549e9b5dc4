// What a model buffer finds and leaves on disk: the cache and its limit, files of the user's, and each line about them.
#include "base/log.h"
#include "store-rig.h"
#include "store/weight-store.h"

#include <chrono>
#include <cstring>
#include <sstream>
#include <sys/file.h>

namespace rknpu {
namespace {

namespace fs = std::filesystem;
using test::bytes;
using test::known_record;

std::string said;
void collect(log_level level, const char * line) {
    if (level >= log_level::info) said += line;
}

size_t lines_with(const std::string & words) {
    std::istringstream lines(said);
    size_t n = 0;
    for (std::string line; std::getline(lines, line);)
        n += line.find(words) != std::string::npos;
    return n;
}

class weight_store_test : public test::store_test {
protected:
    const std::string cache = folder + "/cache";
    std::vector<known_record> records = make_records({3000, 70000, 2000000});

    void SetUp() override {
        store_test::SetUp();
        said.clear();
        set_log_sink(collect);
    }
    void TearDown() override {
        set_log_sink(nullptr);
        store_test::TearDown();
    }

    store_wishes cached(uint64_t limit = uint64_t(1) << 30) { return {cache, "", limit}; }

    // As a load does: what is not found or is damaged is converted. The number of records that came from disk.
    size_t load(const store_wishes & wishes, size_t n, bool to_the_end = true) {
        uint64_t expected = 0;
        for (const known_record & k : records)
            expected += k.payload.size();
        weight_store store(wishes, expected);
        size_t found = 0;
        for (size_t i = 0; i < n && store.active(); i++) {
            known_record & k = records[i];
            bytes payload(k.payload.size());
            const store_record * r = store.find(k.key);
            const bool read = r && store.read(*r, test::cut(random, payload));
            EXPECT_TRUE(!read || payload == k.payload);
            found += read;
            store.keep(k.key, k.facts, test::cut(random, k.payload));
        }
        if (to_the_end && store.active()) store.finish();
        return found;
    }
    void expect_said(const std::string & words) {
        EXPECT_NE(said.find(words), std::string::npos) << words << "\n" << said;
    }
    std::string only_file() {
        const auto files = store_folder(cache).files();
        EXPECT_EQ(files.size(), 1u);
        return files.empty() ? "" : files[0];
    }
    void flip(const std::string & path, size_t at) {
        bytes file = test::read_all(path);
        file[at] ^= 4;
        test::write_all(path, file);
    }
};

TEST_F(weight_store_test, the_second_load_reads_what_the_first_left) {
    EXPECT_EQ(load(cached(), 3), 0u);
    expect_said("0 were read from disk, 3 converted, 3 written to " + cache);
    expect_said("GGML_RKNPU_STORE=off does without such files");
    said.clear();
    EXPECT_EQ(load(cached(), 3), 3u);
    expect_said("3 were read from disk, 0 converted\n");
    only_file();
}

TEST_F(weight_store_test, off_is_off) {
    weight_store store({"off", "", 1 << 30}, 100);
    EXPECT_FALSE(store.active());
    EXPECT_EQ(said, "");
}

TEST_F(weight_store_test, an_interrupted_load_is_gone_on_with) {
    EXPECT_EQ(load(cached(), 2, false), 0u);
    EXPECT_EQ(fs::path(only_file()).extension(), ".partial");
    EXPECT_EQ(load(cached(), 3), 2u);
    EXPECT_EQ(fs::path(only_file()).extension(), ".rknpu");
    EXPECT_EQ(load(cached(), 3), 3u);
    // Interrupted after the last record: the next load finds all, and gives the file its name.
    fs::rename(only_file(), only_file() + ".partial");
    EXPECT_EQ(load(cached(), 3), 3u);
    EXPECT_EQ(fs::path(only_file()).extension(), ".rknpu");
}

TEST_F(weight_store_test, damage_is_said_and_mended) {
    load(cached(), 3);
    const std::string first = only_file();
    flip(first, fs::file_size(first) - 1000000);
    EXPECT_EQ(load(cached(), 3), 2u);
    expect_said("is damaged between bytes");
    expect_said("its weights are converted instead; the file is made anew");
    EXPECT_FALSE(fs::exists(first));
    only_file();
    said.clear();
    EXPECT_EQ(load(cached(), 3), 3u);
    EXPECT_EQ(said.find("damaged"), std::string::npos);
}

TEST_F(weight_store_test, a_truncated_file_is_said_and_mended) {
    load(cached(), 3);
    const std::string first = only_file();
    fs::resize_file(first, fs::file_size(first) - 100);
    EXPECT_EQ(load(cached(), 3), 2u);
    expect_said("ends early; the weights that are lost are converted instead; the file is made anew");
    EXPECT_EQ(load(cached(), 3), 3u);
}

TEST_F(weight_store_test, a_file_of_another_kind_is_said_and_replaced) {
    const std::string old = cache + "/" + std::string(32, 'a') + ".rknpu";
    fs::create_directories(cache);
    test::write_all(old, {'r', 'k', 'n', 'p', 'u'});
    load(cached(), 3);
    expect_said(".rknpu holds no packed weights; make them with rknpu pack; weights are converted instead");
    EXPECT_FALSE(fs::exists(old));
    only_file();
}

TEST_F(weight_store_test, a_file_for_another_version_is_left_alone) {
    load(cached(), 3);
    const std::string old = only_file(); // the name that this load would choose again
    bytes file = test::read_all(old);
    file[8] = 9;
    const uint64_t checksum = hash_of(file.data(), 16).low;
    std::memcpy(&file[16], &checksum, 8);
    test::write_all(old, file);
    EXPECT_EQ(load(cached(), 3), 0u);
    expect_said("has version 9 of the format");
    EXPECT_EQ(load(cached(), 3), 3u) << "kept beside it";
    EXPECT_EQ(test::read_all(old), file);
}

TEST_F(weight_store_test, files_of_the_users_in_the_folder_are_read_and_stay) {
    load({"off", folder + "/mine.rknpu", 1}, 3);
    fs::create_directories(cache);
    const std::string mine = cache + "/mine.rknpu";
    fs::rename(folder + "/mine.rknpu", mine);
    EXPECT_EQ(load(cached(), 3), 3u);
    records = make_records({400000});
    load(cached(500000), 1);
    EXPECT_EQ(store_folder(cache).files().size(), 2u) << "the limit is that of the cache's own files";
    flip(mine, fs::file_size(mine) - 1000000);
    test::write_all(cache + "/other.rknpu", {1});
    load(cached(), 1);
    records = make_records({500000});
    load(cached(600000), 1);
    EXPECT_TRUE(fs::exists(mine));
    EXPECT_TRUE(fs::exists(cache + "/other.rknpu"));
}

TEST_F(weight_store_test, nothing_is_deleted_for_a_file_that_finds_no_room_anyway) {
    records = make_records({400000});
    load(cached(), 1);
    const std::string idle = only_file();
    const std::string busy = cache + "/" + std::string(32, 'b') + ".rknpu";
    auto w = store_writer::open(busy);
    ASSERT_TRUE(w.ok());
    EXPECT_FALSE(store_folder(cache).make_room(1000000, 1000010, {}).ok());
    EXPECT_TRUE(fs::exists(idle));
    EXPECT_TRUE(store_folder(cache).make_room(1000000, 1000100, {}).ok());
    EXPECT_FALSE(fs::exists(idle));
}

// Another program finished the file after this one had looked: it is not replaced by a part of it.
TEST_F(weight_store_test, a_file_that_was_finished_meanwhile_stays) {
    load(cached(), 2, false);
    const std::string partial = only_file();
    weight_store late(cached(), 2073000);
    EXPECT_EQ(load(cached(), 3), 2u);
    const std::string whole = only_file();
    const bytes content = test::read_all(whole);
    // It has the file open under its old name, goes on reading there, and misses the last record.
    bytes payload(records[1].payload.size());
    const store_record * r = late.find(records[1].key);
    ASSERT_TRUE(r && late.read(*r, {{payload.data(), payload.size()}}));
    EXPECT_EQ(payload, records[1].payload);
    EXPECT_EQ(late.find(records[2].key), nullptr);
    late.keep(records[2].key, "", test::cut(random, records[2].payload));
    late.finish();
    expect_said("another program has just written");
    EXPECT_EQ(test::read_all(whole), content);
    EXPECT_FALSE(fs::exists(partial));
}

TEST_F(weight_store_test, a_folder_that_looks_like_a_file_is_said) {
    load({folder + "/model.packed", "", 1 << 30}, 1);
    expect_said("model.packed is no file, so it becomes a folder of packed weights");
}

TEST_F(weight_store_test, the_limit_lets_the_oldest_go) {
    uint64_t size = 0;
    for (int model = 0; model < 4; model++) {
        records = make_records({400000});
        load(cached(1300000), 1);
        for (const std::string & path : store_folder(cache).files()) {
            size = fs::file_size(path);
            fs::last_write_time(path, fs::last_write_time(path) - std::chrono::hours(1));
        }
    }
    EXPECT_EQ(store_folder(cache).files().size(), 3u);
    EXPECT_LE(3 * size, 1300000u);
    EXPECT_EQ(load(cached(1300000), 1), 1u) << "the newest is still there";
    said.clear();
    load(cached(1300000), 1);
    records = make_records({1400000});
    load(cached(1300000), 1);
    expect_said("packed weights are not kept for the next time: 1 MiB are beyond the limit of 1 MiB; raise "
                "GGML_RKNPU_STORE_MIB; GGML_RKNPU_STORE=off does without them");
    EXPECT_EQ(store_folder(cache).files().size(), 3u) << "nothing was deleted in vain";
}

TEST_F(weight_store_test, files_that_are_being_written_are_left_alone) {
    fs::create_directories(cache);
    const std::string busy = cache + "/" + std::string(32, 'b') + ".rknpu";
    auto w = store_writer::open(busy);
    ASSERT_TRUE(w.ok());
    const status s = store_folder(cache).make_room(1000, 1010, {});
    EXPECT_EQ(s.code(), errc::out_of_memory);
    EXPECT_NE(s.message().find("beside files in use; raise GGML_RKNPU_STORE_MIB"), std::string::npos) << s.message();
    EXPECT_TRUE(fs::exists(store_partial_path(busy)));
}

TEST_F(weight_store_test, a_disk_without_room_is_said) {
    const status s = store_folder(cache).make_room(uint64_t(1) << 55, UINT64_MAX, {});
    EXPECT_NE(s.message().find("more than half of what the disk has free; free some space, or choose another disk"),
              std::string::npos)
        << s.message();
}

TEST_F(weight_store_test, a_folder_that_cannot_be_made_is_said) {
    test::write_all(folder + "/file", {1});
    load({folder + "/file/cache", "", 1 << 30}, 3);
    expect_said("cannot make the folder " + folder + "/file/cache: Not a directory");
}

TEST_F(weight_store_test, packing_writes_one_file_and_goes_on_after_an_interruption) {
    const std::string out = folder + "/model.rknpu";
    const store_wishes pack{"off", out, 1};
    load(pack, 2, false);
    expect_said("packed 0.1 of 2.0 MiB");
    EXPECT_FALSE(fs::exists(out));
    EXPECT_EQ(load(pack, 3), 2u);
    EXPECT_TRUE(fs::exists(out));
    EXPECT_FALSE(fs::exists(store_partial_path(out)));
    const bytes packed = test::read_all(out);
    EXPECT_EQ(load(pack, 3), 3u) << "again: everything is there";
    EXPECT_EQ(test::read_all(out), packed);
    EXPECT_EQ(load({out, "", 1}, 3), 3u) << "a load is given the file";
    EXPECT_EQ(load(cached(), 3), 0u);
}

TEST_F(weight_store_test, a_file_of_the_users_is_never_changed) {
    const std::string out = folder + "/model.rknpu";
    load({"off", out, 1}, 2);
    const bytes packed = test::read_all(out);
    said.clear();
    EXPECT_EQ(load({out, "", 1 << 30}, 3), 2u);
    expect_said(out +
                " has nothing for 1 of 3 weights of this model with these settings; they were converted; pack the "
                "model again with rknpu pack");
    EXPECT_EQ(lines_with(out), 1u) << said;
    flip(out, packed.size() - 1000);
    said.clear();
    EXPECT_EQ(load({out, "", 1 << 30}, 3), 1u);
    expect_said("is damaged between bytes");
    expect_said("pack the model again with rknpu pack");
    EXPECT_TRUE(fs::exists(out));
    said.clear();
    EXPECT_EQ(load({folder + "/none.rknpu", "", 1}, 3), 0u);
    expect_said("cannot open the packed weights " + folder +
                "/none.rknpu: No such file or directory; rknpu pack makes "
                "such a file; weights are converted instead");
    EXPECT_EQ(lines_with("none.rknpu"), 1u) << said;
    fs::resize_file(out, packed.size() / 2);
    said.clear();
    load({out, "", 1 << 30}, 3);
    expect_said("ends early; the weights that are lost are converted instead; pack the model again with rknpu pack");
    EXPECT_EQ(lines_with(out), 1u) << said;
}

TEST_F(weight_store_test, a_mistyped_folder_is_not_made) {
    store_wishes mistyped = cached();
    mistyped.place = folder + "/mistyped/packed/";
    mistyped.makes_parents = false;
    EXPECT_EQ(load(mistyped, 3), 0u);
    expect_said("no folder " + folder + "/mistyped to make " + mistyped.place +
                " in; make it, or correct GGML_RKNPU_STORE");
    EXPECT_FALSE(fs::exists(folder + "/mistyped"));
    mistyped.place = folder + "/packed/"; // only its last part is new
    load(mistyped, 3);
    EXPECT_EQ(load(mistyped, 3), 3u);
}

TEST_F(weight_store_test, weights_are_counted_not_records) {
    weight_store store(cached(), 100);
    bytes payload(100);
    for (uint64_t i = 0; i < 2; i++) {
        EXPECT_EQ(store.find({i, 0}, 2 + i), nullptr);
        store.keep({i, 0}, "", test::cut(random, payload));
    }
    store.finish();
    expect_said("0 were read from disk, 5 converted, 5 written to");
}

} // namespace
} // namespace rknpu
