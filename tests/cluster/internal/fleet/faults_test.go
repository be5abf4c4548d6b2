package fleet

import (
	"slices"
	"testing"
)

func TestParseSet(t *testing.T) {
	const listing = `{"nftables": [{"metainfo": {"version": "1.0.6"}},
		{"set": {"family": "ip", "name": "cut", "flags": ["interval"],
		 "elem": [{"prefix": {"addr": "10.231.2.0", "len": 24}}, {"prefix": {"addr": "10.231.3.0", "len": 24}}]}}]}`
	got, err := parseSet([]byte(listing))
	if want := []string{"10.231.2.0/24", "10.231.3.0/24"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, err := parseSet([]byte(`{"nftables": [{"set": {"name": "cut"}}]}`)); err != nil || len(got) != 0 {
		t.Errorf("an empty set gives %v, %v", got, err)
	}
}
