package legacygen

// name is a name as written and its form in ASCII for logins and addresses.
type name struct{ written, ascii string }

// people of one language share their given names and surnames.
type language struct {
	tag        string
	percent    int
	nonLatin   bool
	given      []name
	surname    []name
	surname1st bool // written order is surname, given name
}

func same(names ...string) []name {
	out := make([]name, len(names))
	for i, n := range names {
		out[i] = name{n, asciiLower(n)}
	}
	return out
}

var languages = []language{
	{tag: "de", percent: 34, given: append(same("Anna", "Bernd", "Clara", "Dieter", "Emma", "Felix", "Greta", "Hannes", "Ida", "Jonas", "Klara", "Lukas", "Marie", "Niklas", "Paula", "Ruth"),
		name{"Jürgen", "juergen"}, name{"Käthe", "kaethe"}, name{"Karl-Heinz", "karlheinz"}),
		surname: append(same("Weber", "Schmidt", "Fischer", "Becker", "Hoffmann", "Koch", "Richter", "Wolf", "Neumann", "Schwarz", "Zimmermann", "Hartmann"),
			name{"Müller", "mueller"}, name{"Schröder", "schroeder"}, name{"Groß", "gross"}, name{"von der Heide", "vonderheide"})},
	{tag: "en", percent: 28, given: same("Alice", "Brian", "Carol", "David", "Eleanor", "Frank", "Grace", "Henry", "Isla", "James", "Kate", "Liam", "Megan", "Noah", "Olivia", "Peter"),
		surname: append(same("Smith", "Jones", "Taylor", "Brown", "Wilson", "Evans", "Thomas", "Roberts", "Walker", "Wright", "Green", "Hall"),
			name{"O'Connor", "oconnor"}, name{"Smith-Jones", "smithjones"}, name{"van Dyke", "vandyke"})},
	{tag: "fr", percent: 12, given: append(same("Alain", "Claire", "Denis", "Hugo", "Jeanne", "Louis", "Nathalie", "Olivier"), name{"François", "francois"}, name{"Hélène", "helene"}),
		surname: append(same("Martin", "Bernard", "Dubois", "Petit", "Durand", "Leroy", "Moreau", "Simon"), name{"Lefèvre", "lefevre"}, name{"d'Aubigné", "daubigne"})},
	{tag: "tr", percent: 10, given: append(same("Ahmet", "Deniz", "Emre", "Fatma", "Kemal", "Leyla", "Murat", "Zeynep"), name{"Çağla", "cagla"}, name{"İbrahim", "ibrahim"}, name{"Özgür", "ozgur"}),
		surname: append(same("Demir", "Kaya", "Arslan", "Aydin", "Korkmaz", "Polat"), name{"Yılmaz", "yilmaz"}, name{"Şahin", "sahin"}, name{"Öztürk", "ozturk"}, name{"Gündoğdu", "gundogdu"})},
	{tag: "pl", percent: 8, given: append(same("Adam", "Beata", "Ewa", "Jan", "Marek", "Zofia"), name{"Łukasz", "lukasz"}, name{"Małgorzata", "malgorzata"}),
		surname: append(same("Nowak", "Kowalski", "Mazur", "Krawczyk"), name{"Wiśniewski", "wisniewski"}, name{"Wójcik", "wojcik"}, name{"Zieliński", "zielinski"})},
	{tag: "el", percent: 2, nonLatin: true, given: []name{{"Ελένη", "eleni"}, {"Γιώργος", "giorgos"}, {"Νίκος", "nikos"}}, surname: []name{{"Παπαδόπουλος", "papadopoulos"}, {"Νικολάου", "nikolaou"}}},
	{tag: "uk", percent: 2, nonLatin: true, given: []name{{"Олена", "olena"}, {"Тарас", "taras"}, {"Юлія", "yuliia"}}, surname: []name{{"Шевченко", "shevchenko"}, {"Коваль", "koval"}, {"Бондаренко", "bondarenko"}}},
	{tag: "zh", percent: 1, nonLatin: true, surname1st: true, given: []name{{"伟", "wei"}, {"芳", "fang"}, {"秀英", "xiuying"}}, surname: []name{{"王", "wang"}, {"李", "li"}, {"张", "zhang"}}},
	{tag: "ja", percent: 1, nonLatin: true, surname1st: true, given: []name{{"花子", "hanako"}, {"太郎", "taro"}}, surname: []name{{"山田", "yamada"}, {"佐藤", "sato"}}},
	{tag: "ar", percent: 1, nonLatin: true, given: []name{{"محمد", "mohammed"}, {"فاطمة", "fatima"}}, surname: []name{{"الحسن", "alhasan"}, {"حداد", "haddad"}}},
	{tag: "hi", percent: 1, nonLatin: true, given: []name{{"अनिल", "anil"}, {"प्रिया", "priya"}}, surname: []name{{"शर्मा", "sharma"}, {"पटेल", "patel"}}},
}

func drawLanguage(d *draw) *language {
	n := d.n(100)
	for i := range languages {
		if n -= languages[i].percent; n < 0 {
			return &languages[i]
		}
	}
	return &languages[0]
}

// asciiLower lower-cases a name that is ASCII.
func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

var titles = []string{"Engineer", "Senior Engineer", "Accountant", "Clerk", "Team Lead", "Project Manager", "Buyer", "Nurse", "Analyst", "Consultant", "Technician", "Werkstattleiterin", "Ingénieur d'études"}

var longTexts = []string{
	"Works on site three days a week and from home on the others; reachable by telephone between nine and five, except on public holidays.",
	"Zuständig für Abrechnung, Mahnwesen und Rückfragen der Außenstellen, vertreten durch die jeweils stellvertretende Leitung des Bereichs.",
	"Second contact for suppliers in the north; keys to store rooms 12, 14 and 17 (see the list at the gate), car park permit on request.",
}

var multiLineTexts = []string{
	"Badge lost in March\nreplaced in April\n",
	"Vertretung:\r\n  Mo-Mi Zentrale\r\n  Do-Fr Außenstelle",
	" leading space and a trailing one ",
}
